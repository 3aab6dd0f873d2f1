/**
 * Serves the tree of one EROFS image on one FUSE mount.
 *
 * @module
 */
import { MessageChannel } from "node:worker_threads";
import { extname } from "node:path";
import { EsgzError } from "../errors/index.ts";
import { ErrnoError, serveFuse, type Filesystem, type FuseServer, type Negotiated } from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import type { HeldLayer, HeldLayers } from "./held-layers.ts";
import { MetaFile } from "./meta-file.ts";
import type { OwnerMap } from "./owner-map.ts";
import type { RangeFetcher } from "./range-fetcher.ts";
import type { MarkMessage } from "./served-layer.ts";
import { TreeNodes } from "./tree-nodes.ts";
import type { TreeViewStart } from "./tree-view-filesystem.ts";

/** What a server of a tree works with. */
export interface TreeViewOptions {
  readonly held: HeldLayers;
  readonly fetcher: RangeFetcher;
  readonly negotiated: Negotiated;
  /** The EROFS image. */
  readonly metaPath: string;
  /** The layers on whose data devices the files lie, in the order of the image's devices. */
  readonly layers: readonly Digest[];
  /** Marks of overlayfs are shown as those of user namespaces. */
  readonly userOverlay: boolean;
  readonly owners: OwnerMap | undefined;
  /** Told of reads that failed, and the reason. */
  readonly onReadFailed: (error: unknown) => void;
}

/** Small: few of the reads that this thread answers need other pages than the one before. */
const DEFERRED_PAGES = 16;

/** A tree that is served. It ends by itself when its mount is gone, after the last who uses it. */
export class TreeViewServer {
  readonly #server: FuseServer;
  /** Settles when nobody serves any more, and the layers were let go. */
  readonly closed: Promise<void>;
  /** Rejects when its thread fails; settles otherwise when serving is over. */
  readonly failed: Promise<unknown>;

  private constructor(server: FuseServer, end: () => Promise<void>) {
    this.#server = server;
    this.failed = server.closed;
    this.closed = server.closed.then(end, end);
    this.closed.catch(() => undefined);
  }

  /**
   * Begins to serve on a mounted device, which stays the caller's.
   *
   * @throws {EsgzError} as `serveFuse()` and `HeldLayers.hold()`; `EROFS_INVALID` for an image that cannot be read.
   */
  static async start(fd: number, options: TreeViewOptions): Promise<TreeViewServer> {
    const { held, layers } = options;
    const { port1, port2 } = new MessageChannel();
    const meta = new MetaFile(options.metaPath, { maxPages: DEFERRED_PAGES });
    const holding: HeldLayer[] = [];
    const end = async (): Promise<void> => {
      port1.close();
      meta[Symbol.dispose]();
      for (const { layer } of holding.splice(0)) await held.release(layer.digest);
    };
    try {
      for (const digest of layers) holding.push(await held.hold(digest));
      port1.on("message", (mark: MarkMessage) => held.noteMark(mark)).unref();
      const data: TreeViewStart = {
        metaPath: options.metaPath,
        layers: holding.map(({ start }) => start),
        userOverlay: options.userOverlay,
        owners: options.owners,
        port: port2,
      };
      const server = await serveFuse(fd, {
        filesystem: new URL(`./tree-view-filesystem${extname(import.meta.url)}`, import.meta.url),
        data,
        transfer: [port2],
        negotiated: options.negotiated,
        deferred: deferredReads(options, { tree: new TreeNodes(meta), holding }),
        onError: options.onReadFailed,
      });
      return new TreeViewServer(server, end);
    } catch (error) {
      await end();
      throw error;
    }
  }

  /** Stops serving and lets go of the layers. The mount stays. Idempotent. */
  async close(): Promise<void> {
    await this.#server.close();
    await this.closed;
  }
}

function deferredReads(
  { fetcher }: TreeViewOptions,
  view: { readonly tree: TreeNodes; readonly holding: readonly HeldLayer[] },
): Filesystem {
  return {
    getattr: () => {
      throw new EsgzError("INTERNAL", "Cannot answer for a tree view: expected a read, got getattr");
    },
    async read(node, { offset, size }, { signal }) {
      const parts = view.tree.parts(node, { offset, size });
      const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.size, 0));
      const fill = async (part: (typeof parts)[number]): Promise<void> => {
        if (part.kind === "image") bytes.set(view.tree.imageBytes(part.imageOffset, part.size), part.at);
        if (part.kind !== "device") return;
        const layer = view.holding[part.device]?.layer;
        if (layer === undefined) throw new ErrnoError("EIO");
        const range = { offset: part.deviceOffset, size: part.size };
        bytes.set(await fetcher.read(layer, range, { signal }), part.at);
      };
      await Promise.all(parts.map(fill));
      return bytes;
    },
  };
}
