/**
 * The files to be written, as columns in shared memory: every worker sees them and messages stay small.
 *
 * A *piece* is a run of a file that one chunk fills. Runs of zeros are no pieces: files are made at their full size.
 *
 * ```text
 * file   0      1   2            pieceStart  [0, 2, 2, 5]
 * piece  0  1       2  3  4      pieceFile   [0, 0, 2, 2, 2]
 * ```
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import type { Digest } from "../oci/index.ts";
import type { FileNode, NodeMetadata } from "./root-nodes.ts";

/** Files and pieces in columns. Made for `postMessage`: typed arrays over shared memory and plain values. */
export interface FileTable {
  readonly files: number;
  readonly pieces: number;
  /** File f's path is `pathBytes[pathStart[f], pathStart[f + 1])`, relative, as the filesystem has it. */
  readonly pathStart: Float64Array;
  readonly pathBytes: Uint8Array;
  readonly size: Float64Array;
  readonly mode: Uint16Array;
  readonly uid: Float64Array;
  readonly gid: Float64Array;
  readonly seconds: Float64Array;
  readonly nanoseconds: Uint32Array;
  /** File f's pieces are `[pieceStart[f], pieceStart[f + 1])`. */
  readonly pieceStart: Uint32Array;
  readonly pieceFile: Uint32Array;
  readonly pieceOffset: Float64Array;
  readonly pieceSize: Float64Array;
  readonly pieceDigest: readonly Digest[];
  /** 1 where the piece is on the disk and verified. Written by workers. */
  readonly present: Uint8Array;
  /** Only files that have any. */
  readonly xattrs: ReadonlyMap<number, ReadonlyMap<string, Uint8Array>>;
}

/**
 * Lays files out in columns.
 *
 * Every data chunk must have a digest; layers for which this is not so take another way.
 */
export function createFileTable(files: readonly FileNode[]): FileTable {
  const paths = files.map(({ path }) => encodePathText(path));
  const pieces = files.flatMap((file, index) =>
    file.chunks.filter(({ kind }) => kind === "data").map((chunk) => ({ chunk, index })),
  );
  const pieceStart = sharedUint32(files.length + 1);
  for (const { index } of pieces) pieceStart[index + 1] = (pieceStart[index + 1] ?? 0) + 1;
  accumulate(pieceStart);
  const pathStart = sharedFloat64(files.length + 1);
  paths.forEach((path, index) => (pathStart[index + 1] = path.length));
  accumulate(pathStart);
  const pathBytes = sharedUint8(pathStart[files.length] ?? 0);
  paths.forEach((path, index) => pathBytes.set(path, pathStart[index] ?? 0));
  return {
    files: files.length,
    pieces: pieces.length,
    pathStart,
    pathBytes,
    size: fill(sharedFloat64(files.length), files, ({ size }) => size),
    mode: fill(new Uint16Array(shared(2 * files.length)), files, ({ metadata }) => metadata.mode & 0o7777),
    uid: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.uid),
    gid: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.gid),
    seconds: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.mtime.seconds),
    nanoseconds: fill(sharedUint32(files.length), files, ({ metadata }) => metadata.mtime.nanoseconds),
    pieceStart,
    pieceFile: fill(sharedUint32(pieces.length), pieces, ({ index }) => index),
    pieceOffset: fill(sharedFloat64(pieces.length), pieces, ({ chunk }) => chunk.fileOffset),
    pieceSize: fill(sharedFloat64(pieces.length), pieces, ({ chunk }) => chunk.size),
    pieceDigest: pieces.flatMap(({ chunk }) => (chunk.digest === undefined ? [] : [chunk.digest])),
    present: sharedUint8(pieces.length),
    xattrs: new Map(
      files.flatMap(({ metadata }, index) => (metadata.xattrs.size > 0 ? [[index, metadata.xattrs]] : [])),
    ),
  };
}

/** A file's path inside the root, as the filesystem has it: a view. */
export function pathBytesOf(table: FileTable, file: number): Uint8Array {
  return table.pathBytes.subarray(table.pathStart[file], table.pathStart[file + 1]);
}

/** A file's metadata. */
export function metadataOf(table: FileTable, file: number): NodeMetadata {
  return {
    mode: table.mode[file] ?? 0,
    uid: table.uid[file] ?? 0,
    gid: table.gid[file] ?? 0,
    mtime: { seconds: table.seconds[file] ?? 0, nanoseconds: table.nanoseconds[file] ?? 0 },
    xattrs: table.xattrs.get(file) ?? NO_XATTRS,
  };
}

/** Whether every piece of a file is on the disk. */
export function isFilePresent(table: FileTable, file: number): boolean {
  for (let piece = table.pieceStart[file] ?? 0; piece < (table.pieceStart[file + 1] ?? 0); piece += 1) {
    if (table.present[piece] !== 1) return false;
  }
  return true;
}

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** Turns counts at `[i + 1]` into starts at `[i]`. */
function accumulate(starts: Uint32Array | Float64Array): void {
  for (let i = 1; i < starts.length; i += 1) starts[i] = (starts[i] ?? 0) + (starts[i - 1] ?? 0);
}

function fill<A extends Uint16Array | Uint32Array | Float64Array, T>(
  column: A,
  rows: readonly T[],
  valueOf: (row: T) => number,
): A {
  rows.forEach((row, index) => (column[index] = valueOf(row)));
  return column;
}

/** A column in shared memory. */
export function sharedUint32(length: number): Uint32Array {
  return new Uint32Array(shared(4 * length));
}

/** A column in shared memory, for integers up to 2^53. */
export function sharedFloat64(length: number): Float64Array {
  return new Float64Array(shared(8 * length));
}

/** Bytes in shared memory. */
export function sharedUint8(length: number): Uint8Array {
  return new Uint8Array(shared(length));
}

function shared(bytes: number): SharedArrayBuffer {
  return new SharedArrayBuffer(bytes);
}
