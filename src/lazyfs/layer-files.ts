/**
 * The one FUSE connection that shows layers as virtual files, made when it is first needed.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { readMountsAt, readMountTable } from "../erofs-mount/index.ts";
import { EsgzError } from "../errors/index.ts";
import { unmountFuse } from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
import type { HeldLayers } from "./held-layers.ts";
import { KeptFuse } from "./kept-fuse.ts";
import { LayerFilesServer, notServed } from "./layer-files-server.ts";
import type { RangeFetcher } from "./range-fetcher.ts";

/** What it works with. */
export interface LayerFilesContext {
  /** Where it is mounted: private to the store. */
  readonly directory: string;
  readonly held: HeldLayers;
  readonly fetcher: RangeFetcher;
  readonly keeper: FuseKeeper | undefined;
  readonly onReadFailed: (error: unknown) => void;
  /** Told when the thread that serves failed: all views wait for somebody else then. */
  readonly onServerFailed: (error: unknown) => void;
}

/** What the keeper knows the connection by. */
export const LAYER_FILES_ID = "files";

interface Serving {
  readonly fuse: KeptFuse;
  readonly server: LayerFilesServer;
}

/** Virtual layer files for all views of a store. */
export class LayerFiles {
  readonly #context: LayerFilesContext;
  #serving: Promise<Serving> | undefined;
  #ensuring: Promise<Serving> | undefined;
  #isClosing = false;

  constructor(context: LayerFilesContext) {
    this.#context = context;
  }

  /** Has a virtual file for a layer, to be released as often, and gives its path. @throws {EsgzError} `MOUNT_FAILED`, `NOT_SUPPORTED` */
  async acquire(digest: Digest): Promise<string> {
    const { server } = await this.#ensure();
    await server.acquire(digest);
    return server.pathOf(digest);
  }

  /** Makes the connection if there is none yet: the first view needs not wait for it then. @throws {EsgzError} as `acquire()` */
  async warm(): Promise<void> {
    await this.#ensure();
  }

  /** Lets go of a file once; settles when the kernel has closed it, if nobody else has it. */
  async release(digest: Digest): Promise<void> {
    await (await this.#serving)?.server.release(digest);
  }

  /** Serves a connection that was kept, with the files that living mounts have open. @throws {EsgzError} as `serveFuse()` */
  async serveAdopted(adopted: AdoptedFuse, layers: readonly Digest[]): Promise<void> {
    const fuse = KeptFuse.take(adopted, this.#context.keeper);
    this.#serving = this.#serve(fuse, layers);
    await this.#serving;
  }

  /** Stops serving; `unmount` takes the mount away too. Idempotent. */
  async close(options: { readonly unmount: boolean }): Promise<void> {
    this.#isClosing = true;
    // What is being made is served when that ends; nothing is made after it.
    await this.#ensuring?.catch(() => undefined);
    const serving = await this.#serving?.catch(() => undefined);
    this.#serving = undefined;
    if (serving === undefined) return;
    // While it is still served: what looks at it waits otherwise.
    if (options.unmount) await this.clear();
    await serving.server.close();
    await serving.fuse.close({ forgotten: options.unmount });
  }

  /** Takes away what is mounted at the directory, served or not. */
  async clear(): Promise<void> {
    const { directory } = this.#context;
    for (const { mountPoint } of await readMountTable()) {
      if (mountPoint === directory) await unmountFuse(directory, { lazy: true });
    }
  }

  /** The layers of a mount ask at once: only one of them may replace a connection that is gone. */
  async #ensure(): Promise<Serving> {
    this.#ensuring ??= this.#ensureMounted().finally(() => (this.#ensuring = undefined));
    return await this.#ensuring;
  }

  async #ensureMounted(): Promise<Serving> {
    if (this.#isClosing) throw notServed(this.#context.directory);
    const serving = await this.#serving;
    if (serving !== undefined && (serving.server.isOver || !(await this.#isMounted())))
      await this.#dropUnmounted(serving);
    this.#serving ??= this.#forgetFailure(this.#make());
    return await this.#serving;
  }

  async #isMounted(): Promise<boolean> {
    return (await readMountsAt(this.#context.directory)).length > 0;
  }

  /** Somebody else took the mount away. What is open of it goes on to work, so it cannot be replaced while it is used. */
  async #dropUnmounted({ server, fuse }: Serving): Promise<void> {
    const { directory } = this.#context;
    if (server.isUsed && !server.isOver) {
      const text = `Cannot show layers in "${directory}": expected its mount, got none while others still use it: unmount those first`;
      throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "ENOTCONN" } });
    }
    this.#serving = undefined;
    await server.close();
    await fuse.close({ forgotten: true });
  }

  async #make(): Promise<Serving> {
    const { directory, keeper } = this.#context;
    // A dead connection of an earlier process; to look at it would fail.
    await this.clear();
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const fuse = await KeptFuse.make(directory, {
      id: LAYER_FILES_ID,
      source: "esgz-layers",
      features: {},
      allowOther: false,
      keeper,
    });
    return await this.#serve(fuse, []);
  }

  async #serve(fuse: KeptFuse, layers: readonly Digest[]): Promise<Serving> {
    const server = await LayerFilesServer.start(fuse.fd, {
      ...this.#context,
      negotiated: fuse.negotiated,
      layers,
    });
    server.closed.catch((error: unknown) => {
      if (!this.#isClosing) this.#context.onServerFailed(error);
    });
    return { fuse, server };
  }

  /** The next attempt begins anew. */
  #forgetFailure(making: Promise<Serving>): Promise<Serving> {
    making.catch(() => (this.#serving = undefined));
    return making;
  }
}
