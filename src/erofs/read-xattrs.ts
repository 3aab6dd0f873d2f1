/**
 * Extended attributes, as they are read.
 *
 * @module
 */
import { decodePathText, viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { alignUp, BLOCK_SIZE, XATTR_ENTRY_SIZE, XATTR_HEADER_SIZE } from "./disk-layout.ts";
import type { CheckedSource } from "./erofs-source.ts";
import type { InodeRecord } from "./inode-record.ts";
import type { ErofsSuperblock } from "./superblock.ts";
import { xattrPrefixText } from "./xattr-name.ts";

/**
 * The extended attributes of an inode by full name; values are copies. Names with prefixes that have no meaning are
 * left out, as the kernel does.
 *
 * @throws {EsgzError} `EROFS_INVALID` for entries that are not where they should be.
 */
export function readXattrs(
  source: CheckedSource,
  superblock: ErofsSuperblock,
  inode: InodeRecord,
): Map<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  if (inode.xattrSize === 0) return xattrs;
  const body = source.read(inode.xattrOffset, inode.xattrSize);
  const view = viewOf(body);
  const shared = view.getUint8(4);
  const inlineOffset = XATTR_HEADER_SIZE + 4 * shared;
  if (inlineOffset > body.length) throw invalid(inode.nid, `${shared} shared ids`);
  for (let at = inlineOffset; at < body.length;)
    at += takeEntry(body.subarray(at), { into: xattrs, nid: inode.nid });
  for (let at = XATTR_HEADER_SIZE; at < inlineOffset; at += 4) {
    const place = superblock.xattrBlock * BLOCK_SIZE + view.getUint32(at, true) * XATTR_ENTRY_SIZE;
    takeEntry(readSharedEntry(source, place), { into: xattrs, nid: inode.nid });
  }
  return xattrs;
}

function readSharedEntry(source: CheckedSource, offset: number): Uint8Array {
  const head = source.read(offset, XATTR_ENTRY_SIZE);
  return source.read(offset, entrySize(head));
}

/** Adds the entry that the bytes begin with; returns its size. */
function takeEntry(
  bytes: Uint8Array,
  { into, nid }: { readonly into: Map<string, Uint8Array>; readonly nid: number },
): number {
  if (bytes.length < XATTR_ENTRY_SIZE) throw invalid(nid, `${bytes.length} bytes for an entry`);
  const size = entrySize(bytes);
  if (size > bytes.length) throw invalid(nid, `an entry of ${size} bytes in ${bytes.length}`);
  const prefix = xattrPrefixText(bytes[1] ?? 0);
  if (prefix === undefined) return size;
  const valueOffset = XATTR_ENTRY_SIZE + (bytes[0] ?? 0);
  const name = prefix + decodePathText(bytes.slice(XATTR_ENTRY_SIZE, valueOffset));
  if (!into.has(name)) into.set(name, bytes.slice(valueOffset, valueOffset + valueSize(bytes)));
  return size;
}

function entrySize(head: Uint8Array): number {
  return alignUp(XATTR_ENTRY_SIZE + (head[0] ?? 0) + valueSize(head), XATTR_ENTRY_SIZE);
}

function valueSize(head: Uint8Array): number {
  return (head[2] ?? 0) + (head[3] ?? 0) * 256;
}

function invalid(nid: number, found: string): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot read extended attributes of inode ${nid}: expected entries, got ${found}`,
  );
}
