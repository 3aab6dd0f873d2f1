/**
 * An additional layer store for Podman and CRI-O: a mounted tree in which they find layers that nobody has downloaded.
 *
 * @module
 */
import { extname } from "node:path";
import { readMountTable } from "../erofs-mount/index.ts";
import { serveFuse, unmountFuse, type FuseServer } from "../fuse/index.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
import { KeptFuse } from "./kept-fuse.ts";
import type { LayerStoreHost } from "./layer-store-host.ts";
import { LayerStoreTree, type LayerStoreObserver } from "./layer-store-tree.ts";

/** How a store is served. */
export interface LayerStoreOptions {
  readonly host: LayerStoreHost;
  /** Told of images and layers that could not be had. */
  readonly onFailure: LayerStoreObserver;
  /** Told of requests that ended with an error. */
  readonly onReadFailed: (error: unknown) => void;
  /** Told when the thread that serves failed: whoever looks at the mount waits then. */
  readonly onServerFailed: (error: unknown) => void;
  readonly keeper?: FuseKeeper | undefined;
}

const PREFIX = "layer-store:";
const SOURCE = "esgz-layer-store";

/** Whether a connection that was kept is one of a layer store. */
export function isLayerStoreFuse({ id }: Pick<AdoptedFuse, "id">): boolean {
  return id.startsWith(PREFIX);
}

/** A mounted store. It must not be looked at by the thread that has it. */
export class LayerStore implements AsyncDisposable {
  /** Where it is mounted. */
  readonly directory: string;
  readonly #fuse: KeptFuse;
  readonly #server: FuseServer;

  private constructor(fuse: KeptFuse, server: FuseServer) {
    this.directory = fuse.target;
    this.#fuse = fuse;
    this.#server = server;
  }

  /**
   * Mounts a store on an existing directory, which has an absolute path without symbolic links.
   *
   * @throws {EsgzError} `MOUNT_FAILED`, `NOT_SUPPORTED`
   */
  static async mount(directory: string, options: LayerStoreOptions): Promise<LayerStore> {
    // A dead connection of an earlier process; to look at it would fail.
    if (await isMounted(directory)) await unmountFuse(directory, { lazy: true });
    const fuse = await KeptFuse.make(directory, {
      id: `${PREFIX}${directory}`,
      source: SOURCE,
      features: {},
      allowOther: true,
      attempts: true,
      keeper: options.keeper,
    });
    try {
      return await LayerStore.#serve(fuse, options);
    } catch (error) {
      await unmountFuse(directory, { lazy: true });
      await fuse.close({ forgotten: true });
      throw error;
    }
  }

  /** Goes on with a store whose connection was kept. @throws {EsgzError} as `serveFuse()` */
  static async adopt(adopted: AdoptedFuse, options: LayerStoreOptions): Promise<LayerStore> {
    return await LayerStore.#serve(KeptFuse.take(adopted, options.keeper), options);
  }

  static async #serve(fuse: KeptFuse, options: LayerStoreOptions): Promise<LayerStore> {
    const server = await serveFuse(fuse.fd, {
      filesystem: new URL(`./layer-store-filesystem${extname(import.meta.url)}`, import.meta.url),
      negotiated: fuse.negotiated,
      deferred: new LayerStoreTree(options.host, options.onFailure),
      onError: options.onReadFailed,
    });
    server.closed.catch(options.onServerFailed);
    return new LayerStore(fuse, server);
  }

  /** Settles when nobody serves it any more. */
  get closed(): Promise<unknown> {
    return this.#server.closed.catch(() => undefined);
  }

  /** Takes it away, also while somebody looks at it. */
  async unmount(): Promise<void> {
    if (await isMounted(this.directory)) await unmountFuse(this.directory, { lazy: true });
    await this.#server.close();
    await this.#fuse.close({ forgotten: true });
  }

  /** Stops serving; the mount stays for another process, if there was a keeper. Idempotent. */
  async close(): Promise<void> {
    await this.#server.close();
    await this.#fuse.close({ forgotten: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

async function isMounted(directory: string): Promise<boolean> {
  return (await readMountTable()).some(
    ({ mountPoint, source }) => mountPoint === directory && source === SOURCE,
  );
}
