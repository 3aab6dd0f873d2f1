/**
 * The chunk table of a layer, left on the disk.
 *
 * Opening reads the file once, to check it; what stays in memory is a place and a checksum for each 64 rows. Rows are
 * read again when they are asked for, through a cache that all layers of a store share.
 *
 * @module
 */
import type { Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { crc32 } from "node:zlib";
import { equalBytes, viewOf } from "../bytes/index.ts";
import {
  BLOCK_SIZE,
  type ChunkRow,
  decodeNumbers,
  decodeRow,
  readDigestPrefix,
  readPlace,
  ROW_SIZE,
} from "./chunk-row.ts";
import {
  type ChunkTableHeader,
  decodeTableHeader,
  type EncodedChunks,
  hashHeader,
  TABLE_HEADER_SIZE,
  tableSize,
} from "./chunk-table-file.ts";
import { badTable, type ChunkTableLimits } from "./chunk-table-limits.ts";
import type { PageCache } from "./page-cache.ts";
import { type GapRange, PAGE_ROWS, PAGE_SIZE, TableScan, type TableSummary } from "./table-scan.ts";

/** Read at once when a table is opened: 1 MiB. */
const BLOCK_PAGES = 256;

/** The indexes from `first` up to, not including, `end`. */
export interface IndexRange {
  readonly first: number;
  readonly end: number;
}

/** How to open a chunk table. */
export interface ChunkTableOptions {
  readonly limits: ChunkTableLimits;
  readonly cache: PageCache;
}

/** An open chunk table. Owns its file. */
export class ChunkTable implements Disposable {
  /** The number of chunks. */
  readonly count: number;
  /** The size of the data device in bytes. */
  readonly dataSize: number;
  /** The sum of the sizes of all chunks. */
  readonly chunkBytes: number;
  /** The runs between chunks, ascending: each begins with a block, and ends with the device or where a chunk begins. */
  readonly gaps: readonly GapRange[];
  readonly #fd: number;
  readonly #summary: TableSummary;
  readonly #cache: PageCache;
  #closed = false;

  private constructor(fd: number, checked: CheckedTable, cache: PageCache) {
    this.#fd = fd;
    this.#cache = cache;
    this.#summary = checked.summary;
    this.count = checked.header.count;
    this.dataSize = checked.header.dataSize;
    this.chunkBytes = checked.summary.chunkBytes;
    this.gaps = checked.summary.gaps;
  }

  /**
   * Opens and checks a table.
   *
   * @throws {EsgzError} `STORE_INVALID`; system errors as they are.
   */
  static open(path: string, options: ChunkTableOptions): ChunkTable {
    const fd = openSync(path, "r");
    try {
      return new ChunkTable(fd, checkTable(fd, options.limits), options.cache);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /**
   * Opens a table that was just written with these bytes: they are not read again, and checked if nobody did that.
   *
   * @throws {EsgzError} `STORE_INVALID`; system errors as they are.
   */
  static openWritten(
    path: string,
    { table, summary }: EncodedChunks,
    { limits, cache }: ChunkTableOptions,
  ): ChunkTable {
    const header = decodeTableHeader(table, limits);
    const blocks = [table.subarray(TABLE_HEADER_SIZE)];
    // Whoever encoded it may have had other limits.
    const checked =
      summary === undefined || summary.largestChunk > limits.maxChunkSize
        ? checkRows(header, { limits, hash: hashHeader(table), blocks })
        : { header, summary };
    return new ChunkTable(openSync(path, "r"), checked, cache);
  }

  /**
   * The chunk at an index.
   *
   * @throws {EsgzError} `STORE_INVALID` if the file was changed since it was opened, or the index is none.
   */
  row(index: number): ChunkRow {
    if (!(Number.isInteger(index) && index >= 0 && index < this.count))
      throw badTable(`an index below ${this.count}`, String(index));
    return decodeRow(this.#page(Math.floor(index / PAGE_ROWS)), (index % PAGE_ROWS) * ROW_SIZE);
  }

  /** The first 32 bits of each chunk's digest: enough to find most of those that are equal. */
  digestPrefixes(): Uint32Array {
    const prefixes = new Uint32Array(this.count);
    for (let index = 0; index < this.count;) {
      const view = this.#page(index / PAGE_ROWS);
      for (let at = 0; at < view.byteLength; at += ROW_SIZE, index += 1) {
        prefixes[index] = readDigestPrefix(view, at);
      }
    }
    return prefixes;
  }

  /** The chunks that hold bytes of a range of the data device; the rest of a chunk's last block is the chunk's. */
  overlapping(offset: number, size: number): IndexRange {
    const before = this.#lastAtOrBefore(offset);
    const first = before !== undefined && this.#blockEndOf(before) > offset ? before : (before ?? -1) + 1;
    const last = size === 0 ? undefined : this.#lastAtOrBefore(offset + size - 1);
    return { first, end: Math.max(first, (last ?? -1) + 1) };
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cache.forget(this);
    closeSync(this.#fd);
  }

  /** Where the last block of a chunk ends. */
  #blockEndOf(index: number): number {
    const { place, size } = this.row(index);
    return Math.ceil((place + size) / BLOCK_SIZE) * BLOCK_SIZE;
  }

  /** The last chunk that begins at or before an offset. */
  #lastAtOrBefore(offset: number): number | undefined {
    const page = lastNotAbove(this.#summary.places, offset);
    if (page === undefined) return undefined;
    const view = this.#page(page);
    let [low, high] = [0, view.byteLength / ROW_SIZE - 1];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (readPlace(view, middle * ROW_SIZE) <= offset) low = middle;
      else high = middle - 1;
    }
    return page * PAGE_ROWS + low;
  }

  #page(page: number): DataView {
    // Its number may be that of another file by now.
    if (this.#closed) throw badTable("an open one", "a closed one");
    const cached = this.#cache.get(this, page);
    if (cached !== undefined) return cached;
    const rows = Math.min(PAGE_ROWS, this.count - page * PAGE_ROWS);
    const bytes = new Uint8Array(rows * ROW_SIZE);
    readFully(this.#fd, bytes, TABLE_HEADER_SIZE + page * PAGE_SIZE);
    if (crc32(bytes) !== this.#summary.sums[page])
      throw badTable("the rows that were checked", "other bytes");
    const view = viewOf(bytes);
    this.#cache.set(this, page, view);
    return view;
  }
}

interface CheckedTable {
  readonly header: ChunkTableHeader;
  readonly summary: TableSummary;
}

function checkTable(fd: number, limits: ChunkTableLimits): CheckedTable {
  const head = new Uint8Array(TABLE_HEADER_SIZE);
  readFully(fd, head, 0);
  const header = decodeTableHeader(head, limits);
  const size = tableSize(header.count);
  const found = fstatSync(fd).size;
  if (found < size) throw badTable(`at least ${size} bytes`, String(found));
  return checkRows(header, { limits, hash: hashHeader(head), blocks: readRows(fd, header) });
}

/** All rows, in blocks of whole pages that are valid until the next. */
function* readRows(fd: number, { count }: ChunkTableHeader): Generator<Uint8Array> {
  const size = count * ROW_SIZE;
  const buffer = new Uint8Array(Math.min(BLOCK_PAGES * PAGE_SIZE, size));
  for (let offset = 0; offset < size; offset += buffer.length) {
    const block = buffer.subarray(0, size - offset);
    readFully(fd, block, TABLE_HEADER_SIZE + offset);
    yield block;
  }
}

function checkRows(
  header: ChunkTableHeader,
  options: {
    readonly limits: ChunkTableLimits;
    /** Has taken in the header. */
    readonly hash: Hash;
    readonly blocks: Iterable<Uint8Array>;
  },
): CheckedTable {
  const { limits, hash, blocks } = options;
  const scan = new TableScan(header, limits);
  for (const block of blocks) {
    hash.update(block);
    const view = viewOf(block);
    for (let at = 0; at < block.length; at += ROW_SIZE) scan.addRow(decodeNumbers(view, at));
    scan.addPages(block);
  }
  if (!equalBytes(hash.digest(), header.digest)) throw badTable("bytes that match their digest", "others");
  return { header, summary: scan.finish() };
}

function readFully(fd: number, target: Uint8Array, offset: number): void {
  for (let filled = 0; filled < target.length;) {
    const count = readSync(fd, target, filled, target.length - filled, offset + filled);
    if (count === 0) throw badTable(`${target.length} bytes at ${offset}`, `${filled}`);
    filled += count;
  }
}

/** The index of the last value that is not above `limit`, in ascending values. */
function lastNotAbove(values: Float64Array, limit: number): number | undefined {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Infinity) <= limit) low = middle + 1;
    else high = middle;
  }
  return low === 0 ? undefined : low - 1;
}
