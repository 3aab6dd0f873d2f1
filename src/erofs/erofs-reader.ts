/**
 * An EROFS image, read by node ids.
 *
 * @module
 */
import { concatBytes, decodePathText, encodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { compareBytes } from "./compare-bytes.ts";
import { readRun, type ErofsRun } from "./data-map.ts";
import { DirectoryBlock } from "./directory-block.ts";
import { BLOCK_SIZE, DIRENT_SIZE, SYMLINK_LIMIT } from "./disk-layout.ts";
import type { ErofsNodeType } from "./erofs-node.ts";
import { CheckedSource, type ErofsSource } from "./erofs-source.ts";
import { readInode, type ErofsInode, type InodeRecord } from "./inode-record.ts";
import { readXattrs } from "./read-xattrs.ts";
import { parseSuperblock, type ErofsSuperblock } from "./superblock.ts";

/** A directory entry. */
export interface ErofsEntry {
  /** The name as a view of the image, for callers that hand it on; `decodePathText` makes text of it. */
  readonly nameBytes: Uint8Array;
  readonly nid: number;
  readonly type: ErofsNodeType;
  /** Where a later `readdir` goes on behind this entry. */
  readonly cursor: number;
}

/**
 * Reads uncompressed EROFS images: what `compileErofs` makes, and most that `mkfs.erofs` makes without compression.
 *
 * Nothing is kept between calls but the superblock, so a reader takes no memory for a large tree, and every call is
 * bounded by what it returns. Images may be hostile: each call gives a value or throws `EROFS_INVALID`
 * (`NOT_SUPPORTED` for compressed data). A directory may appear inside itself; {@link walkErofs} notices.
 */
export class ErofsReader {
  readonly superblock: ErofsSuperblock;
  readonly #source: CheckedSource;

  /**
   * @param image the image, or a way to read it; kept, not copied.
   * @throws {EsgzError} `EROFS_INVALID`, `NOT_SUPPORTED` for a superblock that cannot be used.
   */
  constructor(image: Uint8Array | ErofsSource) {
    const source = new CheckedSource(image);
    this.#source = source;
    this.superblock = parseSuperblock(source.read(0, BLOCK_SIZE), (offset, size) =>
      source.read(offset, size),
    );
  }

  /** The node id of the root directory. */
  get rootNid(): number {
    return this.superblock.rootNid;
  }

  /** The inode of a node id: everything that `stat` shows. */
  getInode(nid: number): ErofsInode {
    return this.#record(nid);
  }

  /** The entry of a name in a directory, or undefined. The name is text of `decodePathText`, or its bytes. */
  lookup(parentNid: number, name: string | Uint8Array): ErofsEntry | undefined {
    const directory = this.#directory(parentNid);
    const wanted = typeof name === "string" ? encodePathText(name) : name;
    // The last block whose first name is not behind the wanted one.
    let low = 0;
    let high = Math.ceil(directory.size / BLOCK_SIZE);
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (compareBytes(this.#block(directory, middle).name(0), wanted) <= 0) low = middle;
      else high = middle;
    }
    if (high === 0) return undefined;
    const block = this.#block(directory, low);
    const index = block.find(wanted);
    return index < 0 ? undefined : entryOf(block, low, index);
  }

  /**
   * The entries of a directory in byte order, with `.` and `..`, from a cursor on (0 is the start). Entries are read
   * one after the other: the caller may stop at any of them and go on later from its `cursor`.
   */
  *readdir(nid: number, cursor = 0): Generator<ErofsEntry> {
    const directory = this.#directory(nid);
    const blocks = Math.ceil(directory.size / BLOCK_SIZE);
    let index = Math.ceil((cursor % BLOCK_SIZE) / DIRENT_SIZE);
    for (let number = Math.floor(cursor / BLOCK_SIZE); number < blocks; number += 1, index = 0) {
      const block = this.#block(directory, number);
      for (; index < block.count; index += 1) yield entryOf(block, number, index);
    }
  }

  /** The extended attributes of an inode by full name; values are copies. */
  xattrs(nid: number): ReadonlyMap<string, Uint8Array> {
    return readXattrs(this.#source, this.superblock, this.#record(nid));
  }

  /** The text of a symlink, as `decodePathText` makes it. */
  readlink(nid: number): string {
    const inode = this.#record(nid);
    if (inode.type !== "symlink") throw invalid(nid, "a symlink", inode.type);
    if (inode.size > SYMLINK_LIMIT)
      throw invalid(nid, `at most ${SYMLINK_LIMIT} bytes`, `a symlink of ${inode.size}`);
    return decodePathText(this.#readAll(inode));
  }

  /**
   * The run of a file's bytes that begins at `fileOffset`, or undefined at its end. One lookup, however large the
   * file; runs end with their chunk, so the next one may be contiguous.
   */
  runAt(nid: number, fileOffset: number): ErofsRun | undefined {
    return readRun(this.#source, this.#record(nid), {
      fileOffset,
      deviceCount: this.superblock.devices.length,
    });
  }

  /** All runs of a file in order, contiguous ones joined. A file with many chunks is read as slowly as it is consumed. */
  *runs(nid: number): Generator<ErofsRun> {
    const inode = this.#record(nid);
    let joined: ErofsRun | undefined;
    for (let fileOffset = 0; ;) {
      const run = readRun(this.#source, inode, { fileOffset, deviceCount: this.superblock.devices.length });
      if (run === undefined) break;
      fileOffset += run.size;
      if (joined !== undefined && continues(joined, run))
        joined = { ...joined, size: joined.size + run.size };
      else {
        if (joined !== undefined) yield joined;
        joined = run;
      }
    }
    if (joined !== undefined) yield joined;
  }

  /** The node id of a path such as `usr/bin/env`, or undefined. Symlinks are not followed; `""` is the root. */
  findPath(path: string): number | undefined {
    let nid = this.rootNid;
    for (const name of path.split("/")) {
      if (name === "") continue;
      if (this.#record(nid).type !== "dir") return undefined;
      const entry = this.lookup(nid, name);
      if (entry === undefined) return undefined;
      nid = entry.nid;
    }
    return nid;
  }

  #record(nid: number): InodeRecord {
    return readInode(this.#source, this.superblock, nid);
  }

  #directory(nid: number): InodeRecord {
    const inode = this.#record(nid);
    if (inode.type !== "dir") throw invalid(nid, "a directory", inode.type);
    return inode;
  }

  #block(directory: InodeRecord, number: number): DirectoryBlock {
    const fileOffset = number * BLOCK_SIZE;
    return new DirectoryBlock(
      this.#readImage(directory, fileOffset, Math.min(BLOCK_SIZE, directory.size - fileOffset)),
    );
  }

  #readAll(inode: InodeRecord): Uint8Array {
    const parts: Uint8Array[] = [];
    for (let at = 0; at < inode.size;) {
      const part = this.#readImage(inode, at, Math.min(BLOCK_SIZE, inode.size - at));
      parts.push(part);
      at += part.length;
    }
    return concatBytes(parts);
  }

  #readImage(inode: InodeRecord, fileOffset: number, size: number): Uint8Array {
    const run = readRun(this.#source, inode, { fileOffset, deviceCount: 0 });
    if (run?.kind !== "image") throw invalid(inode.nid, "data in the image", run?.kind ?? "none");
    return this.#source.read(run.imageOffset, Math.min(size, run.size));
  }
}

function entryOf(block: DirectoryBlock, number: number, index: number): ErofsEntry {
  return {
    nameBytes: block.name(index),
    nid: block.nid(index),
    type: block.type(index),
    cursor:
      index + 1 < block.count ? number * BLOCK_SIZE + (index + 1) * DIRENT_SIZE : (number + 1) * BLOCK_SIZE,
  };
}

function continues(run: ErofsRun, next: ErofsRun): boolean {
  if (run.kind === "hole") return next.kind === "hole";
  if (run.kind === "image") return next.kind === "image" && next.imageOffset === run.imageOffset + run.size;
  return (
    next.kind === "device" && next.device === run.device && next.deviceOffset === run.deviceOffset + run.size
  );
}

function invalid(nid: number, wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read inode ${nid}: expected ${wanted}, got ${found}`);
}
