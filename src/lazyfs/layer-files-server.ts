/**
 * Serves the virtual layer files of one FUSE mount.
 *
 * @module
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { extname, join } from "node:path";
import { EsgzError } from "../errors/index.ts";
import { ErrnoError, serveFuse, type Filesystem, type FuseServer, type Negotiated } from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import type { HeldLayer, HeldLayers } from "./held-layers.ts";
import type { LayerFilesNotice, LayerFilesRequest, LayerFilesStart } from "./layer-files-messages.ts";
import { layerFileName } from "./layer-node.ts";
import type { RangeFetcher } from "./range-fetcher.ts";

/** What a server of layer files works with. */
export interface LayerFilesOptions {
  /** Where it is mounted. */
  readonly directory: string;
  readonly held: HeldLayers;
  readonly fetcher: RangeFetcher;
  /** Of the mount, which began its session already. */
  readonly negotiated: Negotiated;
  /** Layers to serve from the first moment on: each once for each view that uses it. */
  readonly layers: readonly Digest[];
  /** Told of reads that failed, and the reason. */
  readonly onReadFailed: (error: unknown) => void;
}

interface ServedFile {
  readonly held: HeldLayer;
  users: number;
  /** Settles when the worker knows it. */
  added: PromiseWithResolvers<void>;
  /** There while the worker is to let go of it; settles when it did, or when somebody wants it again. */
  removing: PromiseWithResolvers<void> | undefined;
}

/** The files of one mount. Each is there while a view uses it, and as long as the kernel has it open. */
export class LayerFilesServer {
  readonly #options: LayerFilesOptions;
  readonly #server: FuseServer;
  readonly #port: MessagePort;
  readonly #files = new Map<number, ServedFile>();
  readonly #ended: Promise<void>;
  #isOver = false;

  private constructor(
    options: LayerFilesOptions,
    parts: { readonly server: FuseServer; readonly port: MessagePort },
  ) {
    this.#options = options;
    this.#server = parts.server;
    this.#port = parts.port;
    this.#port.on("message", (notice: LayerFilesNotice) => this.#take(notice));
    this.#port.unref();
    const end = (): Promise<void> => this.#end();
    this.#ended = this.#server.closed.then(end, end);
    this.#ended.catch(() => undefined);
  }

  /**
   * Begins to serve on a mounted device, which stays the caller's.
   *
   * @throws {EsgzError} as `serveFuse()` and `HeldLayers.hold()`.
   */
  static async start(fd: number, options: LayerFilesOptions): Promise<LayerFilesServer> {
    const { port1, port2 } = new MessageChannel();
    const held: HeldLayer[] = [];
    for (const digest of options.layers) held.push(await options.held.hold(digest));
    const layers = [...new Map(held.map((one) => [one.node, one.start])).values()];
    const data: LayerFilesStart = { layers, port: port2 };
    const server = await serveFuse(fd, {
      filesystem: new URL(`./layer-files-filesystem${extname(import.meta.url)}`, import.meta.url),
      data,
      transfer: [port2],
      negotiated: options.negotiated,
      deferred: deferredReads(options),
      onError: options.onReadFailed,
    });
    const files = new LayerFilesServer(options, { server, port: port1 });
    for (const one of held) files.#noteServed(one);
    return files;
  }

  /** Settles when nobody serves any more. */
  get closed(): Promise<unknown> {
    return this.#server.closed;
  }

  /** Whether a view, or the kernel, has one of the files. */
  get isUsed(): boolean {
    return this.#files.size > 0;
  }

  /** Whether it ended: nothing can be acquired any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The path of a layer's file. */
  pathOf(digest: Digest): string {
    return join(this.#options.directory, layerFileName(digest));
  }

  /** Has a file for a layer; to be released as often. @throws {EsgzError} as `HeldLayers.hold()` */
  async acquire(digest: Digest): Promise<void> {
    const held = await this.#options.held.hold(digest);
    if (this.#isOver) {
      await this.#options.held.release(digest);
      throw notServed(this.#options.directory);
    }
    const known = this.#files.get(held.node);
    const file = known ?? { held, users: 0, added: settling(), removing: undefined };
    file.users += 1;
    this.#files.set(held.node, file);
    if (known === undefined) this.#tell({ kind: "add", layer: held.start });
    else if (known.removing !== undefined) this.#wantAgain(known);
    await file.added.promise;
  }

  /** Lets go of a layer once; settles when the kernel has closed its file, if this was the last user. */
  async release(digest: Digest): Promise<void> {
    const file = [...this.#files.values()].find(({ held }) => held.layer.digest === digest);
    // At the end all are let go.
    if (file === undefined || file.users === 0 || this.#isOver) return;
    file.users -= 1;
    if (file.users > 0) {
      await this.#options.held.release(digest);
      return;
    }
    // The last hold is kept until the kernel has closed the file.
    file.removing = Promise.withResolvers<void>();
    this.#tell({ kind: "remove", node: file.held.node });
    await file.removing.promise;
  }

  /** Stops serving and lets go of all layers. The mount stays. Idempotent. */
  async close(): Promise<void> {
    await this.#server.close();
    await this.#ended;
  }

  /** Nobody answers any more: there is nothing left to wait for. */
  async #end(): Promise<void> {
    this.#isOver = true;
    this.#port.close();
    for (const { held, users, added, removing } of this.#files.values()) {
      added.reject(notServed(this.#options.directory));
      removing?.resolve();
      for (let left = Math.max(1, users); left > 0; left -= 1) {
        await this.#options.held.release(held.layer.digest);
      }
    }
    this.#files.clear();
  }

  #noteServed(held: HeldLayer): void {
    const known = this.#files.get(held.node);
    if (known !== undefined) known.users += 1;
    else {
      const added = Promise.withResolvers<void>();
      added.resolve();
      this.#files.set(held.node, { held, users: 1, added, removing: undefined });
    }
  }

  /** A file that was to go has a user again: the hold that was kept for its end is one too many. */
  #wantAgain(file: ServedFile): void {
    file.removing?.resolve();
    file.removing = undefined;
    file.added = settling();
    this.#tell({ kind: "add", layer: file.held.start });
    void this.#options.held.release(file.held.layer.digest);
  }

  #take(notice: LayerFilesNotice): void {
    if (notice.kind === "mark") {
      this.#options.held.noteMark(notice);
      return;
    }
    const file = this.#files.get(notice.node);
    if (notice.kind === "added") file?.added.resolve();
    else if (file?.removing !== undefined) {
      this.#files.delete(notice.node);
      const { removing } = file;
      this.#options.held.release(file.held.layer.digest).then(removing.resolve, removing.reject);
    }
  }

  #tell(request: LayerFilesRequest): void {
    this.#port.postMessage(request);
    this.#server.wake();
  }
}

/** A promise whose failure need not be looked at. */
function settling(): PromiseWithResolvers<void> {
  const settle = Promise.withResolvers<void>();
  settle.promise.catch(() => undefined);
  return settle;
}

/** The error for who wants a layer shown where nobody serves layers any more. */
export function notServed(directory: string): EsgzError {
  const text = `Cannot show layers in "${directory}": expected somebody to serve it, got an end`;
  return new EsgzError("MOUNT_FAILED", text, { details: { errno: "ENOTCONN" } });
}

function deferredReads({ held, fetcher }: LayerFilesOptions): Filesystem {
  return {
    getattr: () => {
      throw new EsgzError("INTERNAL", "Cannot answer for layer files: expected a read, got getattr");
    },
    async read(node, { offset, size }, { signal }) {
      const layer = held.withNode(node)?.layer;
      if (layer === undefined) throw new ErrnoError("EIO");
      const range = { offset, size: Math.max(0, Math.min(size, layer.dataSize - offset)) };
      return await fetcher.read(layer, range, { signal });
    },
  };
}
