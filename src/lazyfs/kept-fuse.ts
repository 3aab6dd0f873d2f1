/**
 * A mounted FUSE connection, of this process or taken over from another.
 *
 * @module
 */
import { closeSync } from "node:fs";
import { isEsgzError } from "../errors/index.ts";
import {
  beginSession,
  mountFuse,
  type FuseFeatures,
  type FuseMount,
  type FuseMountOptions,
  type Negotiated,
} from "../fuse/index.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";

/** How a connection is made. */
export interface KeptFuseOptions {
  /** Names it to the keeper. */
  readonly id: string;
  /** Shown as the source of the mount. */
  readonly source: string;
  readonly features: FuseFeatures;
  /** Other users may use it, where this user may allow that. */
  readonly allowOther: boolean;
  /** Attempts to change something reach the server. Default false. */
  readonly attempts?: boolean | undefined;
  /** Whoever has the descriptor too, so that the mount outlives this process. */
  readonly keeper: FuseKeeper | undefined;
}

/** The descriptor of a connection and what was agreed with the kernel. */
export class KeptFuse {
  readonly id: string;
  readonly fd: number;
  readonly negotiated: Negotiated;
  /** Where it is mounted. */
  readonly target: string;
  readonly #keeper: FuseKeeper | undefined;
  #isClosed = false;

  private constructor(fuse: AdoptedFuse, keeper: FuseKeeper | undefined) {
    this.id = fuse.id;
    this.fd = fuse.fd;
    this.negotiated = fuse.negotiated;
    this.target = fuse.target;
    this.#keeper = keeper;
  }

  /**
   * Mounts on a directory and has the keeper take the descriptor. Nobody serves it yet.
   *
   * @throws {EsgzError} `MOUNT_FAILED`, `NOT_SUPPORTED`; then nothing is mounted.
   */
  static async make(directory: string, options: KeptFuseOptions): Promise<KeptFuse> {
    const { keeper, id } = options;
    const mount = await mountAllowing(directory, options);
    try {
      const negotiated = beginSession(mount.fd, options.features);
      const { fd, target } = mount;
      await keeper?.adopt({ id, fd, negotiated, target, pid: process.pid });
      return new KeptFuse({ id, fd, negotiated, target }, keeper);
    } catch (error) {
      await mount[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A connection that is there already. */
  static take(fuse: AdoptedFuse, keeper: FuseKeeper | undefined): KeptFuse {
    return new KeptFuse(fuse, keeper);
  }

  /** Closes the descriptor; `forgotten` has the keeper close its copy too: the mount is gone. Idempotent. */
  async close({ forgotten }: { readonly forgotten: boolean }): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.fd);
    if (forgotten) await this.#keeper?.disown(this.id, this.fd);
  }
}

/** `fusermount3` refuses `allow_other` unless the machine's configuration has it. */
async function mountAllowing(directory: string, options: KeptFuseOptions): Promise<FuseMount> {
  const { source, allowOther, attempts = false } = options;
  const plain: FuseMountOptions = {
    source,
    subtype: "esgz",
    allowSetuid: true,
    allowDevices: true,
    attempts,
  };
  if (!allowOther) return await mountFuse(directory, plain);
  try {
    return await mountFuse(directory, { ...plain, allowOther: true });
  } catch (error) {
    if (!isEsgzError(error, "MOUNT_FAILED") || error.details["method"] !== "fusermount3") throw error;
    return await mountFuse(directory, plain);
  }
}
