/**
 * The FUSE filesystem of virtual layer files: one directory with a file for each layer, named after the hexadecimal digits of
 * its digest, which reads as the layer's complete data device.
 *
 * Reads of what is there are answered here; the rest is deferred to whoever fetches.
 *
 * @module
 */
import {
  createAttributes,
  DEFERRED,
  ErrnoError,
  ROOT_NODE,
  type Attributes,
  type DirectoryEntry,
  type Entry,
  type Filesystem,
} from "../fuse/index.ts";
import type { LayerFilesNotice, LayerFilesRequest, LayerFilesStart } from "./layer-files-messages.ts";
import { layerFileName } from "./layer-node.ts";
import { ServedLayer, type ServedLayerStart } from "./served-layer.ts";

const ROOT = createAttributes("dir", { inode: ROOT_NODE, permissions: 0o555 });
/** A mount looks a name up several times; then the name may go, while the file behind it stays what it is. */
const KEPT = { generation: 0, entryTimeoutMs: 1000, attributesTimeoutMs: 1000 };

/** Called in the worker of the FUSE server; the data is a {@link LayerFilesStart}. */
export function createFilesystem(data: unknown): Filesystem {
  const { layers, port } = data as LayerFilesStart;
  const files = new LayerFiles(layers, (notice) => port.postMessage(notice));
  port.on("message", (request: LayerFilesRequest) => files.take(request));
  // The worker ends when its device does.
  port.unref();
  return {
    lookup: (directory, name) => files.lookup(directory, name),
    getattr: (node) => ({ attributesTimeoutMs: Infinity, attributes: files.attributes(node) }),
    readdir: (_node, { offset }) => files.list(offset),
    // No listing is cached: layers come and go.
    opendir: () => ({ keepCache: false }),
    open: (node) => files.open(node),
    release: (node) => files.release(node),
    read: (node, { offset, size, buffer }) => files.read(node, { offset, size }, buffer),
  };
}

interface LayerFile {
  readonly layer: ServedLayer;
  readonly attributes: Attributes;
  /** How often the kernel has it open, of what this server saw. */
  opens: number;
  isLeaving: boolean;
}

class LayerFiles {
  readonly #files = new Map<number, LayerFile>();
  readonly #tell: (notice: LayerFilesNotice) => void;

  constructor(layers: readonly ServedLayerStart[], tell: (notice: LayerFilesNotice) => void) {
    this.#tell = tell;
    for (const layer of layers) this.#add(layer);
  }

  take(request: LayerFilesRequest): void {
    if (request.kind === "add") {
      this.#add(request.layer);
      this.#tell({ kind: "added", node: request.layer.node });
      return;
    }
    const file = this.#files.get(request.node);
    if (file !== undefined) file.isLeaving = true;
    this.#dropIfUnused(request.node, file);
  }

  lookup(directory: number, name: string): Entry | undefined {
    if (directory !== ROOT_NODE) throw new ErrnoError("ENOTDIR");
    for (const [node, { layer, attributes, isLeaving }] of this.#files) {
      if (layerFileName(layer.start.digest) === name && !isLeaving) return { ...KEPT, node, attributes };
    }
    return undefined;
  }

  attributes(node: number): Attributes {
    return node === ROOT_NODE ? ROOT : this.#file(node).attributes;
  }

  *list(offset: number): Generator<DirectoryEntry> {
    const files = [...this.#files].filter(([, { isLeaving }]) => !isLeaving);
    for (const [at, [node, { layer }]] of files.entries()) {
      if (at >= offset)
        yield { name: layerFileName(layer.start.digest), type: "reg", inode: node, offset: at + 1 };
    }
  }

  open(node: number): { readonly directIo: true; readonly noFlush: true } {
    this.#file(node).opens += 1;
    // The filesystem that lies on the file has a cache of its own.
    return { directIo: true, noFlush: true };
  }

  release(node: number): void {
    const file = this.#files.get(node);
    if (file === undefined) return;
    file.opens = Math.max(0, file.opens - 1);
    this.#dropIfUnused(node, file);
  }

  read(
    node: number,
    { offset, size }: { readonly offset: number; readonly size: number },
    buffer: Uint8Array,
  ): Uint8Array | typeof DEFERRED {
    const { layer } = this.#file(node);
    const range = { offset, size: Math.max(0, Math.min(size, layer.start.dataSize - offset)) };
    if (!layer.isReady(range)) {
      layer.counters.countMiss();
      return DEFERRED;
    }
    const target = buffer.subarray(0, range.size);
    layer.readInto(range, target);
    layer.counters.countHit(range.size);
    return target;
  }

  #add(start: ServedLayerStart): void {
    const known = this.#files.get(start.node);
    if (known !== undefined) {
      known.isLeaving = false;
      return;
    }
    const { node, dataSize } = start;
    const attributes = createAttributes("reg", { inode: node, size: dataSize, permissions: 0o400 });
    const layer = new ServedLayer(start, (mark) => this.#tell(mark));
    this.#files.set(node, { layer, attributes, opens: 0, isLeaving: false });
  }

  #dropIfUnused(node: number, file: LayerFile | undefined): void {
    if (file !== undefined && (!file.isLeaving || file.opens > 0)) return;
    file?.layer[Symbol.dispose]();
    this.#files.delete(node);
    this.#tell({ kind: "removed", node });
  }

  #file(node: number): LayerFile {
    const file = this.#files.get(node);
    if (file === undefined) throw new ErrnoError("EIO");
    return file;
  }
}
