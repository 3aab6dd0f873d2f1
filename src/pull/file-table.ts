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
import { encodePathText, hasEscapedBytes } from "../bytes/index.ts";
import type { Chunk } from "../estargz/index.ts";
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
  /** Only files that have any. */
  readonly xattrs: ReadonlyMap<number, ReadonlyMap<string, Uint8Array>>;
  /** File f's pieces are `[pieceStart[f], pieceStart[f + 1])`. */
  readonly pieceStart: Uint32Array;
  readonly pieceFile: Uint32Array;
  /** In the file. */
  readonly pieceOffset: Float64Array;
  readonly pieceSize: Float64Array;
  /** Digests as text, each in a cell of `digestSize` bytes that is filled up with zeros. */
  readonly pieceDigest: Uint8Array;
  readonly digestSize: number;
  /** Where the piece comes from: layer, member, and place in the decompressed member. */
  readonly pieceLayer: Uint32Array;
  readonly pieceBlobOffset: Float64Array;
  readonly pieceBlobEnd: Float64Array;
  readonly pieceInnerOffset: Float64Array;
  /** 1 where the piece is on the disk and verified. Written by workers. */
  readonly present: Uint8Array;
}

/**
 * Lays files out in columns; nothing of the nodes is needed afterwards.
 *
 * Every data chunk must have a digest.
 */
export function createFileTable(files: readonly FileNode[]): FileTable {
  const pieceStart = sharedUint32(files.length + 1);
  files.forEach(({ chunks }, file) => {
    pieceStart[file + 1] = (pieceStart[file] ?? 0) + chunks.filter(isData).length;
  });
  const pieces = pieceStart[files.length] ?? 0;
  return {
    files: files.length,
    pieces,
    ...pathColumns(files),
    size: fill(sharedFloat64(files.length), files, ({ size }) => size),
    mode: fill(new Uint16Array(shared(2 * files.length)), files, ({ metadata }) => metadata.mode & 0o7777),
    uid: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.uid),
    gid: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.gid),
    seconds: fill(sharedFloat64(files.length), files, ({ metadata }) => metadata.mtime.seconds),
    nanoseconds: fill(sharedUint32(files.length), files, ({ metadata }) => metadata.mtime.nanoseconds),
    xattrs: new Map(
      files.flatMap(({ metadata }, file) => (metadata.xattrs.size > 0 ? [[file, metadata.xattrs]] : [])),
    ),
    pieceStart,
    ...pieceColumns(files, pieces),
    present: sharedUint8(pieces),
  };
}

function pathColumns(files: readonly FileNode[]): Pick<FileTable, "pathStart" | "pathBytes"> {
  const pathStart = sharedFloat64(files.length + 1);
  // No UTF-16 unit takes more than three bytes; what is not touched takes no memory.
  const pathBytes = sharedUint8(files.reduce((sum, { path }) => sum + 3 * path.length, 0));
  const text = Buffer.from(pathBytes.buffer);
  let at = 0;
  files.forEach(({ path }, file) => {
    if (hasEscapedBytes(path)) {
      const bytes = encodePathText(path);
      pathBytes.set(bytes, at);
      at += bytes.length;
    } else at += text.write(path, at);
    pathStart[file + 1] = at;
  });
  return { pathStart, pathBytes };
}

type PieceColumns = Pick<
  FileTable,
  | "pieceFile"
  | "pieceOffset"
  | "pieceSize"
  | "pieceDigest"
  | "digestSize"
  | "pieceLayer"
  | "pieceBlobOffset"
  | "pieceBlobEnd"
  | "pieceInnerOffset"
>;

function pieceColumns(files: readonly FileNode[], pieces: number): PieceColumns {
  let digestSize = 0;
  for (const { chunks } of files) {
    for (const { digest } of chunks) digestSize = Math.max(digestSize, digest?.length ?? 0);
  }
  const columns = {
    pieceFile: sharedUint32(pieces),
    pieceOffset: sharedFloat64(pieces),
    pieceSize: sharedFloat64(pieces),
    pieceDigest: sharedUint8(pieces * digestSize),
    digestSize,
    pieceLayer: sharedUint32(pieces),
    pieceBlobOffset: sharedFloat64(pieces),
    pieceBlobEnd: sharedFloat64(pieces),
    pieceInnerOffset: sharedFloat64(pieces),
  };
  const digests = Buffer.from(columns.pieceDigest.buffer);
  let piece = 0;
  files.forEach(({ chunks, layer }, file) => {
    for (const chunk of chunks) {
      if (!isData(chunk)) continue;
      columns.pieceFile[piece] = file;
      columns.pieceOffset[piece] = chunk.fileOffset;
      columns.pieceSize[piece] = chunk.size;
      digests.write(chunk.digest ?? "", piece * digestSize, "latin1");
      columns.pieceLayer[piece] = layer;
      columns.pieceBlobOffset[piece] = chunk.blobOffset;
      columns.pieceBlobEnd[piece] = chunk.blobEnd;
      columns.pieceInnerOffset[piece] = chunk.innerOffset;
      piece += 1;
    }
  });
  return columns;
}

/** The digest of a piece's content. */
export function digestOfPiece(table: FileTable, piece: number): Digest {
  const { pieceDigest, digestSize } = table;
  const start = piece * digestSize;
  let end = start + digestSize;
  while (end > start && pieceDigest[end - 1] === 0) end -= 1;
  return Buffer.from(pieceDigest.buffer, pieceDigest.byteOffset + start, end - start).toString(
    "latin1",
  ) as Digest;
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

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

function isData({ kind }: Chunk): boolean {
  return kind === "data";
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
