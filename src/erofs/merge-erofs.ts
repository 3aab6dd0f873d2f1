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
import { DirectoryEntries } from "./directory-entries.ts";
import { alignUp, CHUNK_BITS_MASK, CHUNK_INDEX_SIZE, NULL_BLOCK } from "./disk-layout.ts";
import { chunkCountOf } from "./chunk-map.ts";
import { type ImageMemory, type InodeContents, InodeList } from "./inode-list.ts";
import {
  CHAR_DEVICE_TYPE,
  DIRECTORY_TYPE,
  FILE_TYPE,
  SYMLINK_TYPE,
  BLOCK_DEVICE_TYPE,
} from "./node-types.ts";
import { type DirectoryMarks, LayerXattrs, type ReadMarks } from "./layer-xattrs.ts";
import { type LayerPart, OpenDirectory, reverseTail, type Slot } from "./open-directory.ts";
import { SourceImage } from "./source-image.ts";

/** How to merge images. */
export interface MergeErofsOptions {
  /** The size of each image's data device in bytes. */
  readonly dataSizes: readonly number[];
  /** Finds the marks of directories among extended attributes. */
  readonly readMarks: ReadMarks;
  /** The largest image that may be made, in bytes. */
  readonly maxImageSize: number;
}

/**
 * Merges images that `compileErofs()` made, each with one device, the lowest first. The image that comes out has their
 * devices, in their order; the same images give the same bytes. Character devices 0:0 are whiteouts.
 *
 * @throws {EsgzError} `EROFS_INVALID`, `NOT_SUPPORTED` for images that cannot be read; `LIMIT_EXCEEDED` for more images than
 * one has devices, or a result that would be larger than `maxImageSize`.
 */
export function mergeErofs(
  images: readonly Uint8Array[],
  { dataSizes, readMarks, maxImageSize }: MergeErofsOptions,
): Uint8Array<ArrayBuffer> {
  const devices = checkDevices(dataSizes.map((size) => ({ size })));
  const layers = images.map((bytes, index) => new SourceImage(bytes, devices[index]?.blocks ?? 0));
  const merge = new ErofsMerge(layers, readMarks);
  return assembleImage(merge.list, merge, { devices, foreignXattrs: "reject", maxImageSize }).bytes;
}

class ErofsMerge implements InodeContents {
  readonly list: InodeList = new InodeList();
  readonly #layers: readonly SourceImage[];
  readonly #xattrs: readonly LayerXattrs[];
  /** By inode: the layer that it is from, and where its record is there. */
  readonly #layerOf: number[] = [];
  readonly #recordOf: number[] = [];
  /** Inodes with several names, by layer and node id. */
  readonly #linked: readonly Map<number, number>[];
  /** Directories that were reached, so that a loop ends. */
  readonly #reached: readonly Set<number>[];
  /** Directories that were numbered, whose children are not. */
  readonly #waiting: OpenDirectory[] = [];
  readonly #entries = new DirectoryEntries();

  constructor(layers: readonly SourceImage[], readMarks: ReadMarks) {
    this.#layers = layers;
    this.#xattrs = layers.map((layer) => new LayerXattrs(layer, readMarks));
    this.#linked = layers.map(() => new Map());
    this.#reached = layers.map(() => new Set());
    const top = new OpenDirectory();
    for (let layer = layers.length - 1; layer >= 0; layer -= 1) {
      this.#addPart(top, layer, this.#layer(layer).rootNid);
    }
    this.#addDirectory(top, 0);
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) this.#collect(next);
  }

  writeAttributes(inode: number, image: ImageMemory, offset: number): void {
    const layer = this.#layers[this.#layerOf[inode] ?? 0];
    if (layer === undefined) return writeNoLayers(image, offset);
    const { bytes, words } = layer.memory;
    const record = this.#recordOf[inode] ?? 0;
    image.bytes[offset + 4] = bytes[record + 4] ?? 0;
    image.bytes[offset + 5] = bytes[record + 5] ?? 0;
    const from = record / 4;
    const to = offset / 4;
    // Owner, group, seconds and nanoseconds.
    for (let word = 6; word <= 10; word += 1) image.words[to + word] = words[from + word] ?? 0;
  }

  writeBody(inode: number, image: ImageMemory, offset: number): void {
    const number = this.#layerOf[inode] ?? 0;
    const layer = this.#layer(number);
    const record = this.#recordOf[inode] ?? 0;
    const { bytes, words } = layer.memory;
    const size = this.list.sizes[inode] ?? 0;
    if (this.list.types[inode] === SYMLINK_TYPE) {
      const start = layer.targetOf(record);
      for (let at = 0; at < size; at += 1) image.bytes[offset + at] = bytes[start + at] ?? 0;
      return;
    }
    const device = number + 1;
    const count = chunkCountOf(size, (this.list.fields[inode] ?? 0) & CHUNK_BITS_MASK);
    const table = alignUp(layer.bodyOf(record), CHUNK_INDEX_SIZE);
    for (let at = 0; at < count * CHUNK_INDEX_SIZE; at += CHUNK_INDEX_SIZE) {
      const block = words[(table + at) / 4 + 1] ?? 0;
      image.words[(offset + at) / 4 + 1] = block;
      if (block !== NULL_BLOCK) image.view.setUint16(offset + at + 2, device, true);
    }
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
    this.#layerOf.push(stated?.layer ?? 0);
    this.#recordOf.push(
      stated === undefined ? 0 : this.#layer(stated.layer).recordOf(stated.nid, DIRECTORY_TYPE),
    );
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
    const isLinked = source.linkCountAt(record) > 1;
    const known = isLinked ? this.#linked[layer]?.get(nid) : undefined;
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
      if (field === 0 && type === CHAR_DEVICE_TYPE) return undefined;
    }
    const xattrs = this.#xattrs[layer]?.xattrsOf(nid);
    const inode = this.list.add({ type, size, field, xattrs });
    this.#layerOf.push(layer);
    this.#recordOf.push(record);
    this.list.addLink(inode);
    if (isLinked) this.#linked[layer]?.set(nid, inode);
    return inode;
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

/** The root of an image without layers: mode 755 of nobody in particular. */
function writeNoLayers({ view }: ImageMemory, offset: number): void {
  view.setUint16(offset + 4, 0o040755, true);
}

function invalid(wanted: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot merge images: expected ${wanted}, got something else`);
}
