/**
 * Inodes as they are read: `stat` and where the data is.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  BLOCK_SIZE,
  CHUNK_BITS_MASK,
  CHUNK_INDEXES,
  COMPACT_INODE_SIZE,
  EXTENDED_INODE_SIZE,
  LAYOUT_CHUNKS,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  NODE_SLOT_SIZE,
  XATTR_HEADER_SIZE,
} from "./disk-layout.ts";
import type { CheckedSource } from "./erofs-source.ts";
import type { ErofsNodeType, ErofsTimestamp } from "./erofs-node.ts";
import { typeFromMode } from "./node-types.ts";
import type { ErofsSuperblock } from "./superblock.ts";
import { readInt64, readUint64 } from "./uint64.ts";

/** What an image says about an inode. */
export interface ErofsInode {
  readonly nid: number;
  readonly type: ErofsNodeType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  /** Bytes. */
  readonly size: number;
  readonly mtime: ErofsTimestamp;
  /** Of a device file; 0 otherwise. */
  readonly major: number;
  /** Of a device file; 0 otherwise. */
  readonly minor: number;
  /** Whether there are extended attributes. */
  readonly hasXattrs: boolean;
}

/** An inode with the places of its parts, in bytes of the image. */
export interface InodeRecord extends ErofsInode {
  readonly layout: number;
  readonly xattrOffset: number;
  readonly xattrSize: number;
  /** Behind the xattrs: the tail, or (aligned) the chunk table. */
  readonly bodyOffset: number;
  /** The first block of the data. */
  readonly startBlock: number;
  /** The chunk format. */
  readonly chunkFormat: number;
}

const EXTENDED_BIT = 1;
const LAYOUTS: readonly number[] = [LAYOUT_PLAIN, LAYOUT_INLINE, LAYOUT_CHUNKS];
/** One bit for the form, three for the layout. */
const FORMAT_LIMIT = 0xf;

/**
 * Reads the inode of a node id.
 *
 * @throws {EsgzError} `EROFS_INVALID` for what is no inode; `NOT_SUPPORTED` for compressed data and newer forms.
 */
export function readInode(source: CheckedSource, superblock: ErofsSuperblock, nid: number): InodeRecord {
  if (!Number.isInteger(nid) || nid < 0) throw invalid(nid, "a node id", "none");
  const offset = superblock.metaBlock * BLOCK_SIZE + nid * NODE_SLOT_SIZE;
  const format = viewOf(source.read(offset, COMPACT_INODE_SIZE)).getUint16(0, true);
  if (format > FORMAT_LIMIT) throw unsupported(nid, `format 0x${format.toString(16)}`);
  const layout = format >> 1;
  if (!LAYOUTS.includes(layout)) throw unsupported(nid, `data layout ${layout}`);
  const isExtended = (format & EXTENDED_BIT) !== 0;
  const size = isExtended ? EXTENDED_INODE_SIZE : COMPACT_INODE_SIZE;
  const view = viewOf(source.read(offset, size));
  const xattrOffset = offset + size;
  const place = { nid, layout, xattrOffset };
  return isExtended ? decodeExtended(view, place) : decodeCompact(view, place, superblock);
}

interface Place {
  readonly nid: number;
  readonly layout: number;
  readonly xattrOffset: number;
}

function decodeExtended(view: DataView, place: Place): InodeRecord {
  return decodeRecord(view, place, {
    size: readUint64(view, 8),
    uid: view.getUint32(24, true),
    gid: view.getUint32(28, true),
    mtime: { seconds: readInt64(view, 32), nanoseconds: view.getUint32(40, true) },
    nlink: view.getUint32(44, true),
  });
}

/** The short form: 16-bit link count and owners, 32-bit size, a time relative to that of the image. */
function decodeCompact(view: DataView, place: Place, superblock: ErofsSuperblock): InodeRecord {
  const seconds = superblock.buildSeconds + view.getUint32(12, true);
  return decodeRecord(view, place, {
    nlink: view.getUint16(6, true),
    size: view.getUint32(8, true),
    uid: view.getUint16(24, true),
    gid: view.getUint16(26, true),
    mtime: { seconds, nanoseconds: superblock.buildNanoseconds },
  });
}

/** Adds what both forms have in common. Each field is named: spreading objects takes longer than all the rest. */
function decodeRecord(
  view: DataView,
  { nid, layout, xattrOffset }: Place,
  form: Pick<InodeRecord, "size" | "uid" | "gid" | "mtime" | "nlink">,
): InodeRecord {
  const mode = view.getUint16(4, true);
  const type = typeFromMode(mode);
  if (type === undefined) throw invalid(nid, "a mode", `0o${mode.toString(8)}`);
  const xattrCount = view.getUint16(2, true);
  const xattrSize = xattrCount === 0 ? 0 : XATTR_HEADER_SIZE + 4 * (xattrCount - 1);
  // What this field means depends on type and layout.
  const field = view.getUint32(16, true);
  const isDevice = type === "char" || type === "block";
  return {
    nid,
    type,
    mode: mode & 0o7777,
    uid: form.uid,
    gid: form.gid,
    nlink: form.nlink,
    size: form.size,
    mtime: form.mtime,
    major: isDevice ? (field >>> 8) & 0xfff : 0,
    minor: isDevice ? (field & 0xff) | ((field >>> 12) & 0xf_ff00) : 0,
    hasXattrs: xattrCount > 0,
    layout,
    xattrOffset,
    xattrSize,
    bodyOffset: xattrOffset + xattrSize,
    startBlock: field,
    chunkFormat: layout === LAYOUT_CHUNKS ? checkChunkFormat(nid, field & 0xffff) : 0,
  };
}

function checkChunkFormat(nid: number, format: number): number {
  if ((format & ~(CHUNK_BITS_MASK | CHUNK_INDEXES)) === 0) return format;
  throw unsupported(nid, `chunk format 0x${format.toString(16)}`);
}

function invalid(nid: number, wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read inode ${nid}: expected ${wanted}, got ${found}`);
}

function unsupported(nid: number, found: string): EsgzError {
  return new EsgzError(
    "NOT_SUPPORTED",
    `Cannot read inode ${nid}: expected an uncompressed inode, got ${found}`,
  );
}
