/**
 * A mount that somebody owns.
 *
 * @module
 */
import { resolve } from "node:path";
import { Semaphore } from "../async/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { identityAt, type MountIdentity } from "./mount-identity.ts";
import { umount } from "./native-calls.ts";
import { unmountIdentity, type UnmountOptions } from "./unmount.ts";

/** A mount made here. Disposing takes it away at once, even while it is in use (lazily). */
export interface Mount extends AsyncDisposable {
  /** Where it was put, absolute. */
  readonly directory: string;
  /** Its id in the mount table. */
  readonly id: number;
  /**
   * Takes it away; does nothing if it is gone already, whoever took it, and touches no other mount that came to its place.
   *
   * @throws {EsgzError} `MOUNT_FAILED` with `details.errno` EBUSY if it is in use; it stays, and may be closed again.
   */
  close(options?: UnmountOptions): Promise<void>;
}

/** The handle of a mount that is attached. */
export class MountHandle implements Mount {
  readonly directory: string;
  readonly #identity: MountIdentity;
  readonly #turn = new Semaphore(1);
  #closed = false;

  constructor(directory: string, identity: MountIdentity) {
    this.directory = resolve(directory);
    this.#identity = identity;
  }

  get id(): number {
    return this.#identity.id;
  }

  async close(options: UnmountOptions = {}): Promise<void> {
    // One after the other: to look at a mount keeps it busy.
    await this.#turn.run(async () => {
      if (this.#closed) return;
      await unmountIdentity(this.#identity, { ...options, directory: this.directory });
      this.#closed = true;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.close();
    } catch (error) {
      if (!isEsgzError(error, "MOUNT_FAILED") || error.details["errno"] !== "EBUSY") throw error;
      await this.close({ lazy: true });
    }
  }
}

/** The identity of what `mount(2)` just put on a directory. If it cannot be found out, the mount goes again. */
export async function adoptMountAt(directory: string): Promise<MountIdentity> {
  try {
    return await identityAt(directory);
  } catch (error) {
    await umount(directory, { lazy: true, follow: true });
    throw error;
  }
}
