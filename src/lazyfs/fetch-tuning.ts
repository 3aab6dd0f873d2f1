/**
 * How hard fetching works.
 *
 * @module
 */

/** Sizes are bytes of the blob, as they travel, unless it says otherwise. */
export interface FetchTuning {
  /** Ranges of a pull that are received at once. */
  readonly connections: number;
  /** Ranges of the background fill that are received at once. */
  readonly backgroundConnections: number;
  /** Ranges that are read ahead at once, and the same again that are prefetched. */
  readonly aheadConnections: number;
  /** No request for bulk asks for more, unless one member has more. */
  readonly rangeSize: number;
  /** The background asks for no less. */
  readonly minRangeSize: number;
  /** What the background has under way should arrive in this time: a read that comes does not wait for much. */
  readonly backgroundRangeMs: number;
  /** Bytes that belong to no member, up to this number, are read through; asking anew would take longer. */
  readonly gapSize: number;
  /** Bytes of bulk in memory at most. */
  readonly bytesInFlight: number;
  /** Bytes in memory for reads that wait, beside those. */
  readonly demandBytesInFlight: number;
  /** Bytes of the data device that are taken along with a read that fits no sequence ... */
  readonly readAheadMin: number;
  /** ... which doubles for a reader that goes on in order, up to this. */
  readonly readAheadMax: number;
  /** A read that waited for so long fails; later ones try again. */
  readonly demandDeadlineMs: number;
  /** A read asks for itself what another request would bring only after this time. */
  readonly joinMs: number;
  /** While reads wait, the background takes one piece in this time. */
  readonly yieldMs: number;
  /** When no read has waited for so long, chunks are looked for in other layers: a start is over, or never was. */
  readonly quietMs: number;
  /** A connection without a byte for so long is not waited for alone. */
  readonly stallMs: number;
  /** After a full disk, writing is tried again after this time. */
  readonly diskRetryMs: number;
  /** Bytes of members that are kept in memory while the disk is full. */
  readonly memoryBytes: number;
  /** Worker threads and buffers are given up after so long without work. */
  readonly workerIdleMs: number;
  /** Tries of a range of bulk that brings nothing. */
  readonly bulkAttempts: number;
}

/** Fits a machine with two cores and links from megabits to gigabits. */
export const DEFAULT_FETCH_TUNING: FetchTuning = {
  connections: 8,
  backgroundConnections: 4,
  aheadConnections: 16,
  rangeSize: 4 << 20,
  minRangeSize: 256 << 10,
  backgroundRangeMs: 250,
  gapSize: 64 << 10,
  bytesInFlight: 40 << 20,
  demandBytesInFlight: 32 << 20,
  readAheadMin: 128 << 10,
  readAheadMax: 64 << 20,
  demandDeadlineMs: 30_000,
  joinMs: 150,
  yieldMs: 250,
  quietMs: 300,
  stallMs: 5000,
  diskRetryMs: 10_000,
  memoryBytes: 16 << 20,
  workerIdleMs: 10_000,
  bulkAttempts: 5,
};
