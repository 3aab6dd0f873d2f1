/**
 * The metadata images of an image's layers as one.
 *
 * What is shown is what overlayfs shows of the layers: an upper name hides a lower one, directories over directories show
 * what is in both, whiteouts and opaque directories hide, and symlinks on the way are never followed. A directory that no
 * entry of its layer describes keeps what a lower layer says of it, which overlayfs cannot know.
 *
 * Only what is visible is read: each directory is merged from the layers that it is visible in, the uppermost first.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import {
  compileErofs,
  type ErofsDirectory,
  type ErofsEntry,
  type ErofsExtent,
  type ErofsInode,
  type ErofsNode,
  ErofsReader,
} from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import { isOverlayAttribute, readMarks } from "./overlay-names.ts";

/** The largest image that is made of layers, in bytes: what a store keeps as a small blob. */
const MAX_MERGED_SIZE = 256 << 20;

/**
 * Merges metadata images as `compileLayerArchive()` makes them, the lowest first. The image that comes out has one device
 * for each layer, in their order; the same images give the same bytes.
 *
 * @param dataSizes the sizes of the layers' data devices in bytes
 * @throws {EsgzError} `EROFS_INVALID` for images that cannot be read; `LIMIT_EXCEEDED` for more layers than an image has
 * devices, or a result of more than 256 MiB.
 */
export function mergeLayerMetas(metas: readonly Uint8Array[], dataSizes: readonly number[]): Uint8Array {
  if (metas.length !== dataSizes.length) {
    throw new EsgzError(
      "EROFS_INVALID",
      `Cannot merge layers: expected ${metas.length} data sizes, got ${dataSizes.length}`,
    );
  }
  const root = new MetaMerge(metas).merge();
  const devices = dataSizes.map((size) => ({ size }));
  return compileErofs(root, { devices, maxImageSize: MAX_MERGED_SIZE }).bytes;
}

/** A directory in one layer. */
interface LayerPart {
  readonly layer: number;
  readonly nid: number;
  /** Whether only its attributes count: what is in it is hidden. */
  readonly hidden: boolean;
}

/** A directory of the result, while it is being gathered. */
interface OpenDirectory {
  /** From the uppermost layer down. */
  readonly parts: LayerPart[];
  /** No lower layer adds to the content. */
  opaque: boolean;
  /** No lower layer adds anything. */
  closed: boolean;
}

/** A directory of the result. */
interface MergedDirectory extends ErofsDirectory {
  readonly children: Map<string, ErofsNode>;
}

/** What lower layers may still add to a name; `undefined` as a value: nothing. */
type Names = Map<string, OpenDirectory | undefined>;

class MetaMerge {
  readonly #readers: readonly ErofsReader[];
  /** Inodes with several names, by layer and node id. */
  readonly #linked: readonly Map<number, ErofsNode>[];
  /** Directories that were reached, so that a loop ends. */
  readonly #reached: readonly Set<number>[];

  constructor(metas: readonly Uint8Array[]) {
    this.#readers = metas.map((meta) => new ErofsReader(meta));
    this.#linked = metas.map(() => new Map());
    this.#reached = metas.map(() => new Set());
  }

  merge(): ErofsDirectory {
    const top: OpenDirectory = { parts: [], opaque: false, closed: false };
    for (let layer = this.#readers.length - 1; layer >= 0; layer -= 1) {
      this.#addPart(top, layer, this.#reader(layer).rootNid);
    }
    const root = this.#describe(top);
    const waiting: [MergedDirectory, OpenDirectory][] = [[root, top]];
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const [directory, open] = next;
      for (const [name, child] of this.#gather(open, directory.children)) {
        if (child === undefined) continue;
        const merged = this.#describe(child);
        directory.children.set(name, merged);
        waiting.push([merged, child]);
      }
    }
    return root;
  }

  /** Puts what is no directory into `children`; returns all names, with the directories to go on with. */
  #gather(open: OpenDirectory, children: Map<string, ErofsNode>): Names {
    const names: Names = new Map();
    for (const { layer, nid, hidden } of open.parts) {
      if (hidden) continue;
      for (const entry of this.#reader(layer).readdir(nid)) {
        const name = decodePathText(entry.nameBytes);
        if (name !== "." && name !== "..") this.#addName(names, { name, entry, layer, children });
      }
    }
    return names;
  }

  #addName(
    names: Names,
    found: {
      readonly name: string;
      readonly entry: ErofsEntry;
      readonly layer: number;
      readonly children: Map<string, ErofsNode>;
    },
  ): void {
    const { name, entry, layer, children } = found;
    const { nid, type } = entry;
    if (names.has(name)) {
      const above = names.get(name);
      if (above === undefined || above.closed) return;
      if (type === "dir") this.#addPart(above, layer, nid);
      else above.closed = true;
    } else if (type === "dir") {
      const open: OpenDirectory = { parts: [], opaque: false, closed: false };
      this.#addPart(open, layer, nid);
      names.set(name, open);
    } else {
      names.set(name, undefined);
      const node = this.#node(layer, nid);
      if (node !== undefined) children.set(name, node);
    }
  }

  #addPart(open: OpenDirectory, layer: number, nid: number): void {
    const reached = this.#reached[layer];
    if (reached?.has(nid) === true) {
      throw new EsgzError(
        "EROFS_INVALID",
        "Cannot merge layers: expected directories with one name each, got one that is reachable twice",
      );
    }
    reached?.add(nid);
    open.parts.push({ layer, nid, hidden: open.opaque });
    const { opaque, implied } = readMarks(this.#xattrs(layer, nid));
    open.opaque ||= opaque;
    // What is left to add is content, unless that is hidden, and attributes, unless they are known.
    if (open.opaque && !implied) open.closed = true;
  }

  /** The attributes of the uppermost layer that has an entry for the directory; else what implied ones have. */
  #describe({ parts }: OpenDirectory): MergedDirectory {
    const stated = parts.find(({ layer, nid }) => !readMarks(this.#xattrs(layer, nid)).implied) ?? parts[0];
    const children = new Map<string, ErofsNode>();
    if (stated === undefined) return { ...NO_LAYERS, children };
    const inode = this.#reader(stated.layer).getInode(stated.nid);
    return { ...this.#attributes(stated.layer, inode), type: "dir", children };
  }

  /** A node that is no directory; undefined for a whiteout. */
  #node(layer: number, nid: number): ErofsNode | undefined {
    const known = this.#linked[layer]?.get(nid);
    if (known !== undefined) return known;
    const inode = this.#reader(layer).getInode(nid);
    const node = this.#nodeFrom(layer, inode);
    if (node !== undefined && inode.nlink > 1) this.#linked[layer]?.set(nid, node);
    return node;
  }

  #nodeFrom(layer: number, inode: ErofsInode): ErofsNode | undefined {
    const { type, nid } = inode;
    const attributes = this.#attributes(layer, inode);
    switch (type) {
      case "reg":
        return { ...attributes, type, size: inode.size, extents: this.#extents(layer, inode) };
      case "symlink":
        return { ...attributes, type, target: this.#reader(layer).readlink(nid) };
      case "char":
      case "block": {
        const { major, minor } = inode;
        const isWhiteout = type === "char" && major === 0 && minor === 0;
        return isWhiteout ? undefined : { ...attributes, type, major, minor };
      }
      case "fifo":
      case "socket":
        return { ...attributes, type };
      case "dir":
        throw new EsgzError("EROFS_INVALID", "Cannot merge layers: expected a file, got a directory");
    }
  }

  #extents(layer: number, { nid, size }: ErofsInode): readonly ErofsExtent[] {
    if (size === 0) return [];
    const extents: ErofsExtent[] = [];
    for (const run of this.#reader(layer).runs(nid)) {
      if (run.kind === "image") {
        throw new EsgzError("EROFS_INVALID", "Cannot merge layers: expected data on a device, got it inside");
      }
      if (run.kind === "device") {
        const { fileOffset, deviceOffset } = run;
        extents.push({ fileOffset, size: run.size, device: layer, deviceOffset });
      }
    }
    return extents;
  }

  #attributes(layer: number, inode: ErofsInode): Omit<MergedDirectory, "type" | "children"> {
    const { mode, uid, gid, mtime, hasXattrs, nid } = inode;
    if (!hasXattrs) return { mode, uid, gid, mtime };
    const xattrs = new Map(this.#xattrs(layer, nid));
    for (const name of xattrs.keys()) if (isOverlayAttribute(name)) xattrs.delete(name);
    return { mode, uid, gid, mtime, xattrs };
  }

  #xattrs(layer: number, nid: number): ReadonlyMap<string, Uint8Array> {
    return this.#reader(layer).xattrs(nid);
  }

  #reader(layer: number): ErofsReader {
    const reader = this.#readers[layer];
    if (reader !== undefined) return reader;
    throw new EsgzError("INTERNAL", `Cannot merge layers: expected a layer ${layer}, got none`);
  }
}

/** The root of an image without layers. */
const NO_LAYERS: Omit<ErofsDirectory, "children"> = {
  type: "dir",
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtime: { seconds: 0, nanoseconds: 0 },
};
