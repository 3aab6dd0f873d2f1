/**
 * An image that others are merged with: its inodes and directories, read for copying.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
  alignUp,
  BLOCK_SIZE,
  CHUNK_BITS_MASK,
  CHUNK_INDEX_SIZE,
  CHUNK_INDEXES,
  EXTENDED_INODE_SIZE,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  NODE_SLOT_SIZE,
  NULL_BLOCK,
  SYMLINK_LIMIT,
  XATTR_HEADER_SIZE,
} from "./disk-layout.ts";
import { chunkCountOf } from "./chunk-map.ts";
import type { DirectoryEntries } from "./directory-entries.ts";
import { ErofsReader } from "./erofs-reader.ts";
import { ImageMemory } from "./inode-list.ts";
import { DIRECTORY_TYPE, direntTypeFromMode } from "./node-types.ts";
import { readUint64 } from "./uint64.ts";

/** Extended form, by data layout. */
const FORMATS: readonly number[] = [LAYOUT_PLAIN, LAYOUT_INLINE, LAYOUT_CHUNKS].map(
  (layout) => 1 + 2 * layout,
);
const NANOSECONDS_LIMIT = 999_999_999;

/**
 * An image as `compileErofs()` makes them, with one device. Other images are refused; damage is noticed where it could lead
 * astray.
 */
export class SourceImage {
  /** The image. */
  readonly memory: ImageMemory;
  readonly #reader: ErofsReader;
  readonly #text: Buffer;
  readonly #deviceBlocks: number;

  /** @throws {EsgzError} `EROFS_INVALID`, `NOT_SUPPORTED` for a superblock that cannot be used */
  constructor(bytes: Uint8Array, deviceBlocks: number) {
    this.memory = new ImageMemory(bytes);
    this.#reader = new ErofsReader(this.memory.bytes);
    if (this.#reader.superblock.metaBlock !== 0) throw invalid("inodes from the start on");
    const { buffer, byteOffset, byteLength } = this.memory.bytes;
    this.#text = Buffer.from(buffer, byteOffset, byteLength);
    this.#deviceBlocks = deviceBlocks;
  }

  /** The node id of the root directory. */
  get rootNid(): number {
    return this.#reader.rootNid;
  }

  /**
   * Where the record of a node begins, in bytes.
   *
   * @param type what its directory entry says
   * @throws {EsgzError} `EROFS_INVALID` for what is no inode of this type
   */
  recordOf(nid: number, type: number): number {
    const { view, bytes } = this.memory;
    const offset = nid * NODE_SLOT_SIZE;
    if (!(offset + EXTENDED_INODE_SIZE <= bytes.length)) throw invalid("an inode inside the image");
    const format = view.getUint16(offset, true);
    if (!FORMATS.includes(format)) throw invalid("an extended inode");
    if (direntTypeFromMode(view.getUint16(offset + 4, true)) !== type) throw invalid("the type of the entry");
    if (view.getUint32(offset + 40, true) > NANOSECONDS_LIMIT) throw invalid("a time");
    if (this.bodyOf(offset) > bytes.length) throw invalid("attributes inside the image");
    return offset;
  }

  /** The size that an inode states. */
  sizeAt(record: number): number {
    return readUint64(this.memory.view, record + 8);
  }

  /** Names that lead to an inode. */
  linkCountAt(record: number): number {
    return this.memory.view.getUint32(record + 44, true);
  }

  /** Which device a device file means. */
  deviceNumberAt(record: number): number {
    return this.memory.view.getUint32(record + 16, true);
  }

  /** Where an inode's tail or chunk table may begin. */
  bodyOf(record: number): number {
    const count = this.memory.view.getUint16(record + 2, true);
    return record + EXTENDED_INODE_SIZE + (count === 0 ? 0 : XATTR_HEADER_SIZE + 4 * (count - 1));
  }

  /**
   * The chunk format of a file with bytes, when its chunk table was checked.
   *
   * @throws {EsgzError} `EROFS_INVALID` for files of other forms, and for chunks that are not on the device
   */
  chunkFormatOf(record: number): number {
    const { view, bytes } = this.memory;
    const size = this.sizeAt(record);
    const format = view.getUint16(record + 16, true);
    const isMapped = view.getUint16(record, true) === 1 + 2 * LAYOUT_CHUNKS;
    if (!isMapped || (format & ~CHUNK_BITS_MASK) !== CHUNK_INDEXES || !Number.isSafeInteger(size))
      throw invalid("a file on a device");
    const bits = format & CHUNK_BITS_MASK;
    const chunkBlocks = (1 << bits) >>> 0;
    const table = alignUp(this.bodyOf(record), CHUNK_INDEX_SIZE);
    const end = table + chunkCountOf(size, bits) * CHUNK_INDEX_SIZE;
    if (!(end <= bytes.length)) throw invalid("chunks inside the image");
    let left = Math.ceil(size / BLOCK_SIZE);
    for (let at = table; at < end; at += CHUNK_INDEX_SIZE, left -= chunkBlocks) {
      const block = view.getUint32(at + 4, true);
      if (block === NULL_BLOCK) continue;
      if (view.getUint16(at + 2, true) !== 1 || block + Math.min(chunkBlocks, left) > this.#deviceBlocks)
        throw invalid("chunks on the layer's device");
    }
    return format;
  }

  /**
   * Where the text of a symlink begins, of as many bytes as its size says.
   *
   * @throws {EsgzError} `EROFS_INVALID` for one that is empty, too long, or not inside the image
   */
  targetOf(record: number): number {
    const { view, bytes } = this.memory;
    const size = this.sizeAt(record);
    if (!(size >= 1 && size <= SYMLINK_LIMIT)) throw invalid(`a symlink of 1 to ${SYMLINK_LIMIT} bytes`);
    const isInline = view.getUint16(record, true) === 1 + 2 * LAYOUT_INLINE;
    const start = isInline ? this.bodyOf(record) : view.getUint32(record + 16, true) * BLOCK_SIZE;
    if (!(start + size <= bytes.length)) throw invalid("a symlink inside the image");
    return start;
  }

  /**
   * Reads the entries of a directory, over what `entries` held before.
   *
   * @throws {EsgzError} `EROFS_INVALID` for what is no directory
   */
  readDirectory(nid: number, entries: DirectoryEntries): void {
    const record = this.recordOf(nid, DIRECTORY_TYPE);
    const { view, bytes } = this.memory;
    const size = this.sizeAt(record);
    const format = view.getUint16(record, true);
    if (format === 1 + 2 * LAYOUT_CHUNKS || size > bytes.length)
      throw invalid("a directory inside the image");
    const tail = format === 1 + 2 * LAYOUT_INLINE ? size % BLOCK_SIZE || BLOCK_SIZE : 0;
    const start = view.getUint32(record + 16, true) * BLOCK_SIZE;
    const body = this.bodyOf(record);
    entries.reset(this.memory);
    for (let done = 0; done < size; done += BLOCK_SIZE) {
      const isTail = done + tail >= size;
      entries.addBlock(isTail ? body : start + done, Math.min(BLOCK_SIZE, size - done));
    }
  }

  /** The extended attributes of an inode; undefined for none. */
  xattrsOf(nid: number): ReadonlyMap<string, Uint8Array> | undefined {
    const hasNone = this.memory.view.getUint16(nid * NODE_SLOT_SIZE + 2, true) === 0;
    return hasNone ? undefined : this.#reader.xattrs(nid);
  }

  /** Bytes of the image as text, a unit for each. */
  textAt(start: number, end: number): string {
    return this.#text.toString("latin1", start, end);
  }
}

function invalid(wanted: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot merge images: expected ${wanted}, got something else`);
}
