/**
 * What directories list (`struct fuse_dirent`, `struct fuse_direntplus`).
 *
 *      (128  entry, in READDIRPLUS only: a lookup of the name)
 *      8  inode number
 *      8  offset: where the listing goes on after this entry
 *      4  size of the name
 *      4  type: bits 12 to 15 of the mode
 *      n  name, without a zero byte
 *         zeros up to a multiple of 8
 *
 * @module
 */
import { decodePathText, encodePathText } from "../bytes/index.ts";
import { MODE_TYPES, type NodeType } from "./attributes.ts";
import { entryCodec, type Entry } from "./entry.ts";
import { MessageReader } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";

/** One name in a directory. */
export interface DirectoryEntry {
  /** Path text; "." and ".." are listed like other names, if at all. */
  readonly name: string;
  readonly type: NodeType;
  /** The inode number shown; 0 hides the entry from most programs. */
  readonly inode: number;
  /** Where the listing goes on after this entry; above 0, and the same for as long as the directory is open. */
  readonly offset: number;
}

/** One name with the outcome of its lookup. */
export interface DirectoryEntryPlus extends DirectoryEntry {
  /** Counts as one lookup of its node, as LOOKUP does; absent for "." and "..", or where nothing should be cached. */
  readonly entry?: Entry | undefined;
}

const ENTRY_SIZE = 128;
const DIRENT_SIZE = 24;
const ALIGNMENT = 8;
const TYPE_SHIFT = 12;

const TYPE_BY_NUMBER = new Map(
  Object.entries(MODE_TYPES).map(([name, mode]) => [mode >> TYPE_SHIFT, name as NodeType]),
);

/** Appends an entry if the message stays within `limit` bytes counted from `start`; false if it does not fit. */
export function packDirectoryEntry(
  writer: MessageWriter,
  item: DirectoryEntry,
  room: { readonly start: number; readonly limit: number },
): boolean {
  const name = encodePathText(item.name);
  if (writer.size - room.start + alignedSize(DIRENT_SIZE + name.length) > room.limit) return false;
  writeDirent(writer, item, name);
  return true;
}

/** As {@linkcode packDirectoryEntry}, with the lookup. */
export function packDirectoryEntryPlus(
  writer: MessageWriter,
  item: DirectoryEntryPlus,
  room: { readonly start: number; readonly limit: number },
): boolean {
  const name = encodePathText(item.name);
  if (writer.size - room.start + alignedSize(ENTRY_SIZE + DIRENT_SIZE + name.length) > room.limit)
    return false;
  // A node id of 0 says here only that there is nothing to cache.
  if (item.entry === undefined) writer.zeros(ENTRY_SIZE);
  else entryCodec.encode(item.entry, writer);
  writeDirent(writer, item, name);
  return true;
}

/**
 * The entries of a READDIR reply, as the kernel reads it.
 *
 * @throws {EsgzError} `FUSE_INVALID`.
 */
export function decodeDirectoryEntries(body: Uint8Array): DirectoryEntry[] {
  const reader = new MessageReader(body, "directory entries");
  const items: DirectoryEntry[] = [];
  while (reader.remaining > 0) items.push(readDirent(reader));
  return items;
}

/**
 * The entries of a READDIRPLUS reply, as the kernel reads it.
 *
 * @throws {EsgzError} `FUSE_INVALID`.
 */
export function decodeDirectoryEntriesPlus(body: Uint8Array): DirectoryEntryPlus[] {
  const reader = new MessageReader(body, "directory entries");
  const items: DirectoryEntryPlus[] = [];
  while (reader.remaining > 0) {
    const entry = entryCodec.decode(reader);
    const item = readDirent(reader);
    items.push(entry.node === 0 ? item : { ...item, entry });
  }
  return items;
}

function writeDirent(writer: MessageWriter, item: DirectoryEntry, name: Uint8Array): void {
  writer.u64(item.inode).u64(item.offset).u32(name.length);
  writer
    .u32(MODE_TYPES[item.type] >> TYPE_SHIFT)
    .bytes(name)
    .zeros(alignedSize(name.length) - name.length);
}

function readDirent(reader: MessageReader): DirectoryEntry {
  const [inode, offset, nameSize, type] = [reader.u64(), reader.u64(), reader.u32(), reader.u32()];
  const name = decodePathText(reader.bytes(nameSize));
  reader.skip(alignedSize(nameSize) - nameSize);
  return { name, type: TYPE_BY_NUMBER.get(type) ?? "reg", inode, offset };
}

function alignedSize(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT;
}
