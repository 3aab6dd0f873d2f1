/**
 * Images over each other become one.
 *
 * What is shown is what overlayfs shows of them: an upper name hides a lower one, directories over directories show what is in
 * both, and what the marks of directories and whiteouts hide is hidden. Only what is visible is read. Inodes, chunk tables and
 * names are copied from image to image; nothing is decoded that need not be.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { assembleImage, checkDevices } from "./assemble-image.ts";
import { CopiedInodes } from "./copied-inodes.ts";
import { DirectoryEntries } from "./directory-entries.ts";
import type { ErofsNodeType } from "./erofs-node.ts";
import { InodeList } from "./inode-list.ts";
import { InodeOrigins } from "./inode-origins.ts";
import {
  CHAR_DEVICE_TYPE,
  DIRECTORY_TYPE,
  FILE_TYPE,
  SYMLINK_TYPE,
  BLOCK_DEVICE_TYPE,
  TYPE_NUMBERS,
} from "./node-types.ts";
import { type DirectoryMarks, LayerXattrs, type ReadMarks } from "./layer-xattrs.ts";
import { type LayerPart, OpenDirectory, reverseTail, type Slot } from "./open-directory.ts";
import { SourceImage } from "./source-image.ts";

/** A file of one of the images. */
export interface FileInImage {
  /** The image, counted from the lowest. */
  readonly layer: number;
  readonly nid: number;
  readonly type: ErofsNodeType;
}

/** How to merge images. */
export interface MergeErofsOptions {
  /** The size of each image's data device in bytes. */
  readonly dataSizes: readonly number[];
  /** Finds the marks of directories among extended attributes. */
  readonly readMarks: ReadMarks;
  /** Finds the file below an image that a mark of it means; see {@linkcode SplitXattrs.link}. What it throws ends the merge. */
  readonly findLinked: (layer: number, link: string) => FileInImage;
  /** The largest image that may be made, in bytes. */
  readonly maxImageSize: number;
}

/**
 * Merges images that `compileErofs()` made, each with one device, the lowest first. The image that comes out has their
 * devices, in their order; the same images give the same bytes. Character devices 0:0 are whiteouts,
 * or hard links to files of images below.
 *
 * @throws {EsgzError} `EROFS_INVALID`, `NOT_SUPPORTED` for images that cannot be read; `LIMIT_EXCEEDED` for more images than
 * one has devices, or a result that would be larger than `maxImageSize`.
 */
export function mergeErofs(
  images: readonly Uint8Array[],
  options: MergeErofsOptions,
): Uint8Array<ArrayBuffer> {
  const { dataSizes, maxImageSize } = options;
  const devices = checkDevices(dataSizes.map((size) => ({ size })));
  const layers = images.map((bytes, index) => new SourceImage(bytes, devices[index]?.blocks ?? 0));
  const merge = new ErofsMerge(layers, options);
  return assembleImage(merge.list, new CopiedInodes(layers, merge), {
    devices,
    foreignXattrs: "reject",
    maxImageSize,
  }).bytes;
}

class ErofsMerge {
  readonly list: InodeList = new InodeList();
  readonly origins: InodeOrigins;
  readonly #layers: readonly SourceImage[];
  readonly #xattrs: readonly LayerXattrs[];
  readonly #findLinked: MergeErofsOptions["findLinked"];
  /** Directories that were reached, so that a loop ends. */
  readonly #reached: readonly Set<number>[];
  /** Directories that were numbered, whose children are not. */
  readonly #waiting: OpenDirectory[] = [];
  readonly #entries = new DirectoryEntries();

  constructor(
    layers: readonly SourceImage[],
    { readMarks, findLinked }: Pick<MergeErofsOptions, "readMarks" | "findLinked">,
  ) {
    this.#layers = layers;
    this.#xattrs = layers.map((layer) => new LayerXattrs(layer, readMarks));
    this.#findLinked = findLinked;
    this.origins = new InodeOrigins(layers.length);
    this.#reached = layers.map(() => new Set());
    const top = new OpenDirectory();
    for (let layer = layers.length - 1; layer >= 0; layer -= 1) {
      this.#addPart(top, layer, this.#layer(layer).rootNid);
    }
    this.#addDirectory(top, 0);
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) this.#collect(next);
  }

  #collect(open: OpenDirectory): void {
    const visible = open.parts.filter(({ hidden }) => !hidden);
    const first = this.list.entryCount;
    const firstWaiting = this.#waiting.length;
    const [part] = visible;
    if (visible.length === 1 && part !== undefined) this.#collectOne(open, part);
    else this.#collectSeveral(open, visible);
    this.list.setEntries(open.own, first);
    // The first subdirectory shall be the next one, so that the inodes lie in the order of a walk.
    reverseTail(this.#waiting, firstWaiting);
  }

  /** Most directories are in one layer: they are copied as they are. */
  #collectOne(open: OpenDirectory, { layer, nid }: LayerPart): void {
    const entries = this.#entries;
    const source = this.#layer(layer);
    const { list } = this;
    source.readDirectory(nid, entries);
    const { count } = entries;
    let dots = 0;
    for (let index = 0; index < count; index += 1) {
      const start = entries.starts[index] ?? 0;
      const end = entries.ends[index] ?? 0;
      let inode: number | undefined;
      if (entries.isDots(index)) {
        dots += 1;
        inode = end - start === 1 ? open.own : open.parent;
      } else {
        const type = entries.types[index] ?? 0;
        const child = entries.nids[index] ?? 0;
        inode =
          type === DIRECTORY_TYPE
            ? this.#addDirectory(this.#openAt(layer, child), open.own)
            : this.#addFile(layer, child, type);
      }
      if (inode === undefined) continue;
      list.names.addFrom(source.memory.bytes, start, end);
      list.addEntry(inode);
    }
    if (dots !== DOTS.length) throw invalid("a directory with dots");
  }

  #collectSeveral(open: OpenDirectory, parts: readonly LayerPart[]): void {
    const slots = new Map<string, Slot>();
    for (const { layer, nid } of parts) this.#addSlots(slots, layer, nid);
    const sorted = [...slots.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
    let dots = 0;
    for (const slot of sorted) {
      while (dots < DOTS.length && (DOTS[dots] ?? "") < slot.text) this.#addDots(open, (dots += 1));
      const { layer, nid, type } = slot;
      const inode =
        slot.open === undefined ? this.#addFile(layer, nid, type) : this.#addDirectory(slot.open, open.own);
      if (inode === undefined) continue;
      this.list.names.addFrom(this.#layer(layer).memory.bytes, slot.start, slot.end);
      this.list.addEntry(inode);
    }
    while (dots < DOTS.length) this.#addDots(open, (dots += 1));
  }

  /** Adds the names of one part to those of the parts above it. */
  #addSlots(slots: Map<string, Slot>, layer: number, nid: number): void {
    const entries = this.#entries;
    const source = this.#layer(layer);
    source.readDirectory(nid, entries);
    for (let index = 0; index < entries.count; index += 1) {
      if (entries.isDots(index)) continue;
      const start = entries.starts[index] ?? 0;
      const end = entries.ends[index] ?? 0;
      const child = entries.nids[index] ?? 0;
      const type = entries.types[index] ?? 0;
      const text = source.textAt(start, end);
      const above = slots.get(text);
      if (above === undefined) {
        const open = type === DIRECTORY_TYPE ? this.#openAt(layer, child) : undefined;
        slots.set(text, { text, layer, nid: child, type, start, end, open });
      } else if (above.open !== undefined && !above.open.closed) {
        if (type === DIRECTORY_TYPE) this.#addPart(above.open, layer, child);
        else above.open.closed = true;
      }
    }
  }

  #addDots(open: OpenDirectory, count: number): void {
    this.list.names.addFrom(TWO_DOTS, 0, count);
    this.list.addEntry(count === 1 ? open.own : open.parent);
  }

  #openAt(layer: number, nid: number): OpenDirectory {
    const open = new OpenDirectory();
    this.#addPart(open, layer, nid);
    return open;
  }

  #addPart(open: OpenDirectory, layer: number, nid: number): void {
    const reached = this.#reached[layer];
    if (reached?.has(nid) === true) throw invalid("directories with one name each");
    reached?.add(nid);
    this.#layer(layer).recordOf(nid, DIRECTORY_TYPE);
    const { opaque, implied } = this.#xattrs[layer]?.marksOf(nid) ?? NO_MARKS;
    open.parts.push({ layer, nid, hidden: open.opaque, implied });
    open.opaque ||= opaque;
    // What is left to add is content, unless that is hidden, and attributes, unless they are known.
    if (open.opaque && !implied) open.closed = true;
  }

  /** Numbers a directory: it has the attributes of the uppermost layer that has an entry for it, else what implied ones have. */
  #addDirectory(open: OpenDirectory, parent: number): number {
    const { parts } = open;
    const stated = parts.find(({ implied }) => !implied) ?? parts[0];
    const inode = this.list.add({
      type: DIRECTORY_TYPE,
      size: 0,
      field: 0,
      xattrs: stated === undefined ? undefined : this.#xattrs[stated.layer]?.xattrsOf(stated.nid),
    });
    this.origins.add({
      layer: stated?.layer ?? 0,
      record: stated === undefined ? 0 : this.#layer(stated.layer).recordOf(stated.nid, DIRECTORY_TYPE),
      isShared: false,
    });
    if (inode > 0) this.list.addLink(parent);
    open.own = inode;
    open.parent = parent;
    this.#waiting.push(open);
    return inode;
  }

  /** Numbers what is no directory; undefined for a whiteout. */
  #addFile(layer: number, nid: number, type: number): number | undefined {
    const source = this.#layer(layer);
    const record = source.recordOf(nid, type);
    const isShared = source.linkCountAt(record) > 1;
    const known = isShared || this.origins.keepsAll ? this.origins.find(layer, record) : undefined;
    if (known !== undefined) {
      this.list.addLink(known);
      return known;
    }
    let size = 0;
    let field = 0;
    if (type === FILE_TYPE) {
      size = source.sizeAt(record);
      if (size > 0) field = source.chunkFormatOf(record);
    } else if (type === SYMLINK_TYPE) {
      size = source.sizeAt(record);
      source.targetOf(record);
    } else if (type === CHAR_DEVICE_TYPE || type === BLOCK_DEVICE_TYPE) {
      field = source.deviceNumberAt(record);
      if (field === 0 && type === CHAR_DEVICE_TYPE) return this.#addLinked(layer, nid);
    }
    const xattrs = this.#xattrs[layer]?.xattrsOf(nid);
    const inode = this.list.add({ type, size, field, xattrs });
    this.origins.add({ layer, record, isShared });
    this.list.addLink(inode);
    return inode;
  }

  /** Adds a name to the file that a hard link means; undefined for a whiteout. */
  #addLinked(layer: number, nid: number): number | undefined {
    const link = this.#xattrs[layer]?.linkOf(nid);
    if (link === undefined) return undefined;
    this.origins.keepAll();
    const target = this.#findLinked(layer, link);
    return this.#addFile(target.layer, target.nid, TYPE_NUMBERS[target.type].direntType);
  }

  #layer(layer: number): SourceImage {
    const source = this.#layers[layer];
    if (source !== undefined) return source;
    throw new EsgzError("INTERNAL", `Cannot merge images: expected an image ${layer}, got none`);
  }
}

const NO_MARKS: DirectoryMarks = { opaque: false, implied: false };
const DOTS: readonly string[] = [".", ".."];
const TWO_DOTS: Uint8Array = Uint8Array.of(0x2e, 0x2e);

function invalid(wanted: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot merge images: expected ${wanted}, got something else`);
}
