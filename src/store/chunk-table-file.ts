/**
 * The file `chunks`: the rows of a layer's chunks in the order of their places. Behind them lies where the layer comes from
 * (layer-source.ts); older layers have that in a file `source` from the beginning.
 *
 * ```text
 * offset  size    what
 * 0       8       "esgzChnk"
 * 8       4       version, 1
 * 12      4       size of a row, 64
 * 16      8       number of rows, n
 * 24      8       size of the data device in bytes, a multiple of 4096
 * 32      32      SHA-256 of bytes 0 to 31 and of all rows
 * 64      64 * n  rows (chunk-row.ts), ascending by place, without overlap
 * ```
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { viewOf } from "../bytes/index.ts";
import { BLOCK_SIZE, type ChunkRow, encodeRow, ROW_SIZE } from "./chunk-row.ts";
import { badTable, type ChunkTableLimits, DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { TableScan, type TableSummary } from "./table-scan.ts";

/** The size of the file's header in bytes. */
export const TABLE_HEADER_SIZE = 64;

const MAGIC = new TextEncoder().encode("esgzChnk");
const VERSION = 1;
const DIGEST_OFFSET = 32;

/** What the header says. */
export interface ChunkTableHeader {
  readonly count: number;
  readonly dataSize: number;
  /** What the digest of the whole must be. */
  readonly digest: Uint8Array;
}

/** The chunks of a layer, as its maker gives them. */
export interface ChunkList {
  /** The size of the data device in bytes, a multiple of 4096. */
  readonly dataSize: number;
  /** In the order of their places. */
  readonly rows: readonly ChunkRow[];
}

/** A chunk table that {@linkcode encodeChunks} has made, perhaps in another thread. Plain data. */
export interface EncodedChunks {
  readonly table: Uint8Array;
  /** Believed; without it, opening the layer checks all rows. */
  readonly summary?: TableSummary | undefined;
}

/** A chunk table and what its header says. */
export interface SizedTable extends EncodedChunks {
  readonly count: number;
  /** The size of the data device in bytes. */
  readonly dataSize: number;
}

/**
 * The table of a layer's chunks, encoded if it is not yet. Of one that is, only the header and the length are checked:
 * opening the layer checks the rest, where no summary says what that would find.
 *
 * @throws {EsgzError} `STORE_INVALID` as {@linkcode encodeChunkTable}, and for what is no table.
 */
export function sizedTable(chunks: ChunkList | EncodedChunks, limits: ChunkTableLimits): SizedTable {
  if ("rows" in chunks) {
    const { rows, dataSize } = chunks;
    return { ...encodeChunks(chunks, limits), count: rows.length, dataSize };
  }
  const { table, summary } = chunks;
  const { count, dataSize } = decodeTableHeader(table, limits);
  const size = tableSize(count);
  if (table.length !== size) throw badTable(`${size} bytes`, `${table.length}`);
  return { table, summary, count, dataSize };
}

/** The size of a table of so many rows, in bytes. */
export function tableSize(count: number): number {
  return TABLE_HEADER_SIZE + ROW_SIZE * count;
}

/** {@linkcode encodeChunks} without its summary. */
export function encodeChunkTable(
  list: ChunkList,
  limits: ChunkTableLimits = DEFAULT_TABLE_LIMITS,
): Uint8Array {
  return encodeChunks(list, limits).table;
}

/**
 * Encodes a chunk table.
 *
 * @throws {EsgzError} `STORE_INVALID` for rows out of order or out of bounds.
 */
export function encodeChunks(
  list: ChunkList,
  limits: ChunkTableLimits = DEFAULT_TABLE_LIMITS,
): EncodedChunks & { readonly summary: TableSummary } {
  const { rows, dataSize } = list;
  const count = rows.length;
  assertBounds({ count, dataSize }, limits);
  const table = new Uint8Array(tableSize(count));
  const view = viewOf(table);
  table.set(MAGIC);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, ROW_SIZE, true);
  view.setBigUint64(16, BigInt(count), true);
  view.setBigUint64(24, BigInt(dataSize), true);
  const scan = new TableScan({ count, dataSize }, limits);
  for (const [index, row] of rows.entries()) {
    scan.addRow(row);
    encodeRow(row, view, TABLE_HEADER_SIZE + index * ROW_SIZE);
  }
  const encoded = table.subarray(TABLE_HEADER_SIZE);
  scan.addPages(encoded);
  table.set(hashHeader(table).update(encoded).digest(), DIGEST_OFFSET);
  return { table, summary: scan.finish() };
}

/**
 * Decodes the header of a chunk table.
 *
 * @throws {EsgzError} `STORE_INVALID`
 */
export function decodeTableHeader(bytes: Uint8Array, limits: ChunkTableLimits): ChunkTableHeader {
  const view = viewOf(bytes);
  const known =
    bytes.length >= TABLE_HEADER_SIZE &&
    MAGIC.every((byte, at) => bytes[at] === byte) &&
    view.getUint32(8, true) === VERSION &&
    view.getUint32(12, true) === ROW_SIZE;
  if (!known) throw badTable("version 1", "a file of another kind");
  const count = Number(view.getBigUint64(16, true));
  const dataSize = Number(view.getBigUint64(24, true));
  assertBounds({ count, dataSize }, limits);
  return { count, dataSize, digest: bytes.slice(DIGEST_OFFSET, TABLE_HEADER_SIZE) };
}

/** A hash that has taken in what is hashed of the header; the rows follow. */
export function hashHeader(header: Uint8Array): Hash {
  return createHash("sha256").update(header.subarray(0, DIGEST_OFFSET));
}

function assertBounds(
  table: { readonly count: number; readonly dataSize: number },
  limits: ChunkTableLimits,
): void {
  const { count, dataSize } = table;
  if (count > limits.maxChunks) throw badTable(`at most ${limits.maxChunks} chunks`, String(count));
  const possible = Number.isSafeInteger(dataSize) && dataSize >= 0 && dataSize <= limits.maxDataSize;
  if (!possible || dataSize % BLOCK_SIZE !== 0) throw badTable("a possible data size", String(dataSize));
}
