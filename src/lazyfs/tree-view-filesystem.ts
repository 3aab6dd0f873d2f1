/**
 * The FUSE filesystem that shows the tree of an EROFS image by itself, for kernels and users that cannot mount EROFS.
 *
 * All but contents is answered here, from the image; contents too where they are there, the rest is deferred to whoever
 * fetches. Nothing ever changes, so the kernel keeps what it was told.
 *
 * @module
 */
import type { MessagePort } from "node:worker_threads";
import { createAttributes, DEFERRED, ErrnoError, type Entry, type Filesystem } from "../fuse/index.ts";
import { MetaFile } from "./meta-file.ts";
import { ServedLayer, type ServedLayerStart } from "./served-layer.ts";
import { TreeNodes, type TreeNodesOptions } from "./tree-nodes.ts";

/** What the worker starts with. */
export interface TreeViewStart extends TreeNodesOptions {
  /** The EROFS image. */
  readonly metaPath: string;
  /** The layers on whose data devices the files lie, in the order of the image's devices. */
  readonly layers: readonly ServedLayerStart[];
  /** Marks that were seen go there. */
  readonly port: MessagePort;
}

/** Called in the worker of the FUSE server; the data is a {@link TreeViewStart}. */
export function createFilesystem(data: unknown): Filesystem {
  const start = data as TreeViewStart;
  const tree = new TreeNodes(new MetaFile(start.metaPath), start);
  const layers = start.layers.map((layer) => new ServedLayer(layer, (mark) => start.port.postMessage(mark)));
  return {
    lookup: (directory, name) => tree.lookup(directory, name) ?? NOT_THERE,
    getattr: (node) => ({ attributesTimeoutMs: Infinity, attributes: tree.attributes(node) }),
    readlink: (node) => tree.readlink(node),
    readdir: (node, { offset }) => tree.list(node, { offset, withEntries: false }),
    readdirplus: (node, { offset }) => tree.list(node, { offset, withEntries: true }),
    read: (node, { offset, size, buffer }) => readFile({ tree, layers }, { node, offset, size }, buffer),
    getxattr: (node, name) => tree.xattrs(node).get(name),
    listxattr: (node) => tree.xattrs(node).keys(),
    statfs: () => ({
      blocks: tree.blocks,
      blocksFree: 0,
      blocksAvailable: 0,
      files: tree.inodeCount,
      filesFree: 0,
      blockSize: 4096,
      nameLimit: 255,
      fragmentSize: 4096,
    }),
  };
}

/** A name that is not there stays so: the kernel need not ask again. */
const NOT_THERE: Entry = {
  node: 0,
  generation: 0,
  entryTimeoutMs: Infinity,
  attributesTimeoutMs: 0,
  attributes: createAttributes("reg", {}),
};

function readFile(
  view: { readonly tree: TreeNodes; readonly layers: readonly ServedLayer[] },
  file: { readonly node: number; readonly offset: number; readonly size: number },
  buffer: Uint8Array,
): Uint8Array | typeof DEFERRED {
  const parts = view.tree.parts(file.node, file);
  let missing = false;
  for (const part of parts) {
    if (part.kind !== "device") continue;
    const layer = layerOf(view.layers, part.device);
    if (layer.isReady({ offset: part.deviceOffset, size: part.size })) continue;
    layer.counters.countMiss();
    missing = true;
  }
  if (missing) return DEFERRED;
  let end = 0;
  for (const part of parts) {
    end = part.at + part.size;
    const target = buffer.subarray(part.at, end);
    if (part.kind === "hole") target.fill(0);
    else if (part.kind === "image") target.set(view.tree.imageBytes(part.imageOffset, part.size));
    else {
      const layer = layerOf(view.layers, part.device);
      layer.readInto({ offset: part.deviceOffset, size: part.size }, target);
      layer.counters.countHit(part.size);
    }
  }
  return buffer.subarray(0, end);
}

function layerOf(layers: readonly ServedLayer[], device: number): ServedLayer {
  const layer = layers[device];
  if (layer === undefined) throw new ErrnoError("EIO");
  return layer;
}
