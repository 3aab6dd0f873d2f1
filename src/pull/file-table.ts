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
import { type Digest, hexOf, parseDigest } from "../oci/index.ts";
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
  /** Digests, each in a cell of `digestSize` bytes: its length in one byte, its bytes, zeros. */
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
 * Lays files out in columns; nothing of the nodes is needed afterwards. They are iterated twice.
 *
 * Every data chunk must have a digest.
 */
export function createFileTable(files: Iterable<FileNode>): FileTable {
  const table = emptyTable(extentOf(files));
  const writer = new TableWriter(table);
  for (const file of files) writer.add(file);
  return table;
}

/** How large a table has to be. */
interface TableExtent {
  files: number;
  pieces: number;
  /** UTF-16 units. */
  pathLength: number;
  /** Bytes of the longest digest. */
  digestLength: number;
}

function extentOf(files: Iterable<FileNode>): TableExtent {
  const extent: TableExtent = { files: 0, pieces: 0, pathLength: 0, digestLength: 0 };
  for (const { path, chunks } of files) {
    extent.files += 1;
    extent.pathLength += path.length;
    for (const chunk of chunks) {
      if (!isData(chunk)) continue;
      extent.pieces += 1;
      extent.digestLength = Math.max(extent.digestLength, digestLengthOf(chunk));
    }
  }
  return extent;
}

/** Memory that is not touched yet takes none. */
function emptyTable({ files, pieces, pathLength, digestLength }: TableExtent): MutableTable {
  const digestSize = 1 + digestLength;
  return {
    files,
    pieces,
    pathStart: sharedFloat64(files + 1),
    // No UTF-16 unit takes more than three bytes.
    pathBytes: sharedUint8(3 * pathLength),
    size: sharedFloat64(files),
    mode: new Uint16Array(shared(2 * files)),
    uid: sharedFloat64(files),
    gid: sharedFloat64(files),
    seconds: sharedFloat64(files),
    nanoseconds: sharedUint32(files),
    xattrs: new Map(),
    pieceStart: sharedUint32(files + 1),
    pieceFile: sharedUint32(pieces),
    pieceOffset: sharedFloat64(pieces),
    pieceSize: sharedFloat64(pieces),
    pieceDigest: sharedUint8(pieces * digestSize),
    digestSize,
    pieceLayer: sharedUint32(pieces),
    pieceBlobOffset: sharedFloat64(pieces),
    pieceBlobEnd: sharedFloat64(pieces),
    pieceInnerOffset: sharedFloat64(pieces),
    present: sharedUint8(pieces),
  };
}

interface MutableTable extends FileTable {
  readonly xattrs: Map<number, ReadonlyMap<string, Uint8Array>>;
}

/** Fills a table, file by file. */
class TableWriter {
  readonly #table: MutableTable;
  readonly #pathText: Buffer;
  readonly #digests: Buffer;
  #file = 0;
  #piece = 0;
  #pathEnd = 0;

  constructor(table: MutableTable) {
    this.#table = table;
    this.#pathText = Buffer.from(table.pathBytes.buffer);
    this.#digests = Buffer.from(table.pieceDigest.buffer);
  }

  add({ path, size, metadata, layer, chunks }: FileNode): void {
    const table = this.#table;
    const file = this.#file;
    this.#addPath(path);
    table.size[file] = size;
    table.mode[file] = metadata.mode & 0o7777;
    table.uid[file] = metadata.uid;
    table.gid[file] = metadata.gid;
    table.seconds[file] = metadata.mtime.seconds;
    table.nanoseconds[file] = metadata.mtime.nanoseconds;
    if (metadata.xattrs.size > 0) table.xattrs.set(file, metadata.xattrs);
    for (const chunk of chunks) if (isData(chunk)) this.#addPiece(chunk, layer);
    this.#file += 1;
    table.pathStart[this.#file] = this.#pathEnd;
    table.pieceStart[this.#file] = this.#piece;
  }

  #addPath(path: string): void {
    if (hasEscapedBytes(path)) {
      const bytes = encodePathText(path);
      this.#table.pathBytes.set(bytes, this.#pathEnd);
      this.#pathEnd += bytes.length;
    } else this.#pathEnd += this.#pathText.write(path, this.#pathEnd);
  }

  #addPiece(chunk: Chunk, layer: number): void {
    const table = this.#table;
    const piece = this.#piece;
    const cell = piece * table.digestSize;
    table.pieceFile[piece] = this.#file;
    table.pieceOffset[piece] = chunk.fileOffset;
    table.pieceSize[piece] = chunk.size;
    this.#digests[cell] = digestLengthOf(chunk);
    if (chunk.digest !== undefined) this.#digests.write(hexOf(chunk.digest), cell + 1, "hex");
    table.pieceLayer[piece] = layer;
    table.pieceBlobOffset[piece] = chunk.blobOffset;
    table.pieceBlobEnd[piece] = chunk.blobEnd;
    table.pieceInnerOffset[piece] = chunk.innerOffset;
    this.#piece += 1;
  }
}

/** Bytes of a chunk's digest. */
function digestLengthOf({ digest }: Chunk): number {
  return digest === undefined ? 0 : hexOf(digest).length / 2;
}

/** The digest of a piece's content. */
export function digestOfPiece({ pieceDigest, digestSize }: FileTable, piece: number): Digest {
  const cell = piece * digestSize;
  const length = pieceDigest[cell] ?? 0;
  const hex = Buffer.from(pieceDigest.buffer, pieceDigest.byteOffset + cell + 1, length).toString("hex");
  return parseDigest(`sha${8 * length}:${hex}`);
}

/** Orders pieces by their digests, in no order that means anything: negative, 0 for equal ones, or positive. */
export function comparePieceDigests({ pieceDigest, digestSize }: FileTable, a: number, b: number): number {
  const startA = a * digestSize;
  const startB = b * digestSize;
  for (let at = 0; at < digestSize; at += 1) {
    const difference = (pieceDigest[startA + at] ?? 0) - (pieceDigest[startB + at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
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
