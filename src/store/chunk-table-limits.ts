/**
 * What a chunk table may say, and what is said of one that says something else.
 *
 * @module
 */
import { BLOCK_SIZE } from "./chunk-row.ts";
import { storeInvalid } from "./store-error.ts";

/** Bounds on what a chunk table may say. */
export interface ChunkTableLimits {
  /** Rows. */
  readonly maxChunks: number;
  /** Bytes of one chunk. */
  readonly maxChunkSize: number;
  /** Bytes of a data device. */
  readonly maxDataSize: number;
}

/** The limits that hold where none are given; a device of EROFS ends below 16 TiB. */
export const DEFAULT_TABLE_LIMITS: ChunkTableLimits = {
  maxChunks: 8_000_000,
  maxChunkSize: 64 * 1024 * 1024,
  maxDataSize: 16 * 2 ** 40 - BLOCK_SIZE,
};

/** The error for a chunk table that is none. */
export function badTable(expected: string, found: string): Error {
  return storeInvalid("chunk table", { expected, found });
}
