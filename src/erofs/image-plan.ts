/**
 * Where everything of an image lies, before a byte is written.
 *
 * @module
 */
import { chunkCountOf } from "./chunk-map.ts";
import { directorySize } from "./directory-blocks.ts";
import {
  alignUp,
  BLOCK_SIZE,
  CHUNK_BITS_MASK,
  CHUNK_INDEX_SIZE,
  EXTENDED_INODE_SIZE,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  NODE_SLOT_SIZE,
  XATTR_HEADER_SIZE,
} from "./disk-layout.ts";
import type { InodeList } from "./inode-list.ts";
import { DIRECTORY_TYPE, FILE_TYPE, SYMLINK_TYPE } from "./node-types.ts";
import type { XattrTable } from "./xattr-table.ts";

/** The places of one image; arrays are by inode number, offsets in bytes from the start of the image. */
export interface ImagePlan {
  readonly nids: Float64Array;
  readonly layouts: Uint8Array;
  /** The size that the inode states. */
  readonly sizes: Float64Array;
  /** Where the inode's own blocks begin; 0 if it has none. */
  readonly blockOffsets: Float64Array;
  readonly sharedXattrsOffset: number;
  /** A multiple of 4096. */
  readonly imageSize: number;
}

/** Plans the image of a list of inodes, whose first record begins at `firstRecord`. */
export function planImage(
  list: InodeList,
  options: { readonly xattrs: XattrTable; readonly firstRecord: number },
): ImagePlan {
  return new Planner(list, options.xattrs, options.firstRecord).plan();
}

class Planner {
  readonly #list: InodeList;
  readonly #xattrs: XattrTable;
  readonly #nids: Float64Array;
  readonly #layouts: Uint8Array;
  readonly #sizes: Float64Array;
  /** First as offsets in the area of blocks, whose place is known when all records have theirs; -1 for none. */
  readonly #blockOffsets: Float64Array;
  #recordEnd: number;
  #blocksSize = 0;

  constructor(list: InodeList, xattrs: XattrTable, firstRecord: number) {
    const { count } = list;
    this.#list = list;
    this.#xattrs = xattrs;
    this.#nids = new Float64Array(count);
    this.#layouts = new Uint8Array(count);
    this.#sizes = new Float64Array(count);
    this.#blockOffsets = new Float64Array(count).fill(-1);
    this.#recordEnd = firstRecord;
  }

  plan(): ImagePlan {
    for (let inode = 0; inode < this.#list.count; inode += 1) this.#placeInode(inode);
    const blocksOffset = alignUp(this.#recordEnd, BLOCK_SIZE);
    const sharedXattrsOffset = blocksOffset + this.#blocksSize;
    // fsck.erofs reads where the header of the last inode's attributes would be, also if it has none.
    const end = Math.max(sharedXattrsOffset + this.#xattrs.sharedSize, this.#recordEnd + XATTR_HEADER_SIZE);
    return {
      nids: this.#nids,
      layouts: this.#layouts,
      sizes: this.#sizes,
      blockOffsets: this.#blockOffsets.map((offset) => (offset < 0 ? 0 : blocksOffset + offset)),
      sharedXattrsOffset,
      imageSize: alignUp(end, BLOCK_SIZE),
    };
  }

  #placeInode(inode: number): void {
    const type = this.#list.types[inode];
    const size = this.#list.sizes[inode] ?? 0;
    if (type === FILE_TYPE) this.#placeFile(inode, size);
    else if (type === DIRECTORY_TYPE) this.#placeData(inode, directorySize(this.#list, inode));
    else if (type === SYMLINK_TYPE) this.#placeData(inode, size);
    else this.#placeRecord(inode, this.#bodySize(inode));
  }

  #placeFile(inode: number, size: number): void {
    this.#sizes[inode] = size;
    if (size === 0) return this.#placeRecord(inode, this.#bodySize(inode));
    const bits = (this.#list.fields[inode] ?? 0) & CHUNK_BITS_MASK;
    this.#layouts[inode] = LAYOUT_CHUNKS;
    const indexes = alignUp(this.#bodySize(inode), CHUNK_INDEX_SIZE);
    this.#placeRecord(inode, indexes + chunkCountOf(size, bits) * CHUNK_INDEX_SIZE);
  }

  /** Places the data of a directory or symlink: whole blocks apart, the tail behind the inode if one block holds both. */
  #placeData(inode: number, size: number): void {
    const tail = size % BLOCK_SIZE;
    const record = this.#bodySize(inode) + tail;
    const isInline = tail > 0 && record <= BLOCK_SIZE;
    const blocksSize = isInline ? size - tail : alignUp(size, BLOCK_SIZE);
    this.#sizes[inode] = size;
    this.#layouts[inode] = isInline ? LAYOUT_INLINE : LAYOUT_PLAIN;
    if (blocksSize > 0) this.#blockOffsets[inode] = this.#blocksSize;
    this.#blocksSize += blocksSize;
    // The kernel reads a tail, and a short symlink even its inode, from one block only.
    if (isInline && (this.#recordEnd % BLOCK_SIZE) + record > BLOCK_SIZE) {
      this.#recordEnd = alignUp(this.#recordEnd, BLOCK_SIZE);
    }
    this.#placeRecord(inode, isInline ? record : this.#bodySize(inode));
  }

  #placeRecord(inode: number, size: number): void {
    this.#nids[inode] = this.#recordEnd / NODE_SLOT_SIZE;
    this.#recordEnd = alignUp(this.#recordEnd + size, NODE_SLOT_SIZE);
  }

  #bodySize(inode: number): number {
    return EXTENDED_INODE_SIZE + this.#xattrs.sizeOf(inode);
  }
}
