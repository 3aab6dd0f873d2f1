/**
 * A look at all rows of a chunk table, by whoever writes it or opens it: they are checked, and what stays in memory is noted.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { BLOCK_SIZE, type ChunkNumbers, ROW_SIZE } from "./chunk-row.ts";
import { badTable, type ChunkTableLimits } from "./chunk-table-limits.ts";

/** Rows of a page: 4 KiB, one read. */
export const PAGE_ROWS = 64;
/** The size of a page in bytes. */
export const PAGE_SIZE: number = PAGE_ROWS * ROW_SIZE;

/** A run of bytes that belongs to no chunk, nor to the rest of a chunk's last block. */
export interface GapRange {
  readonly offset: number;
  readonly end: number;
}

/** What stays in memory of a table. Plain data. */
export interface TableSummary {
  /** Of each page, the place of its first row. */
  readonly places: Float64Array;
  /** Of each page, the CRC-32 of its bytes. */
  readonly sums: Uint32Array;
  /** The sum of the sizes of all chunks. */
  readonly chunkBytes: number;
  /** The size of the largest. */
  readonly largestChunk: number;
  /** The runs between chunks, ascending: each begins with a block, and ends with the device or where a chunk begins. */
  readonly gaps: readonly GapRange[];
}

/** Takes rows and pages in their order. */
export class TableScan {
  readonly #dataSize: number;
  readonly #limits: ChunkTableLimits;
  readonly #places: Float64Array;
  readonly #sums: Uint32Array;
  readonly #gaps: GapRange[] = [];
  #chunkBytes = 0;
  #largestChunk = 0;
  #rows = 0;
  #pages = 0;
  #end = 0;

  constructor(
    { count, dataSize }: { readonly count: number; readonly dataSize: number },
    limits: ChunkTableLimits,
  ) {
    this.#dataSize = dataSize;
    this.#limits = limits;
    const pages = Math.ceil(count / PAGE_ROWS);
    this.#places = new Float64Array(pages);
    this.#sums = new Uint32Array(pages);
  }

  /**
   * Takes the next row.
   *
   * @throws {EsgzError} `STORE_INVALID`
   */
  addRow(row: ChunkNumbers): void {
    const { place, size, blobOffset, memberSize, innerOffset } = row;
    if (size < 1 || size > this.#limits.maxChunkSize)
      throw badTable("chunks of a possible size", String(size));
    if (place < this.#end) throw badTable(`a place from ${this.#end} on`, String(place));
    if (place + size > this.#dataSize) throw badTable(`chunks inside ${this.#dataSize} bytes`, String(place));
    if (!Number.isSafeInteger(blobOffset + memberSize) || !Number.isSafeInteger(innerOffset + size))
      throw badTable("offsets below 2^53", String(Math.max(blobOffset, innerOffset)));
    this.#noteGap(place);
    this.#end = place + size;
    this.#chunkBytes += size;
    if (size > this.#largestChunk) this.#largestChunk = size;
    if (this.#rows % PAGE_ROWS === 0) this.#places[this.#rows / PAGE_ROWS] = place;
    this.#rows += 1;
  }

  /** Takes the bytes of whole pages; of the last page, as many as it has. */
  addPages(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += PAGE_SIZE) {
      this.#sums[this.#pages] = crc32(bytes.subarray(at, at + PAGE_SIZE));
      this.#pages += 1;
    }
  }

  /** When all were taken. */
  finish(): TableSummary {
    this.#noteGap(this.#dataSize);
    return {
      places: this.#places,
      sums: this.#sums,
      chunkBytes: this.#chunkBytes,
      largestChunk: this.#largestChunk,
      gaps: this.#gaps,
    };
  }

  #noteGap(end: number): void {
    const offset = Math.ceil(this.#end / BLOCK_SIZE) * BLOCK_SIZE;
    if (end > offset) this.#gaps.push({ offset, end });
  }
}
