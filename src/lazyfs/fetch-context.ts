/**
 * What all parts of a fetcher share.
 *
 * @module
 */
import type { Clock, Semaphore } from "../async/index.ts";
import type { BlobSource, BufferBudget, ReadOptions } from "../blob/index.ts";
import type { Layer } from "../store/index.ts";
import type { WorkerPool } from "../workers/index.ts";
import type { FetchGate } from "./fetch-gate.ts";
import type { FetchEvent, FetchPriority } from "./fetch-report.ts";
import type { FetchTuning } from "./fetch-tuning.ts";
import type { MemoryChunks } from "./memory-chunks.ts";
import type { PieceLanes } from "./piece-lanes.ts";
import type { TransferBoard } from "./transfer-board.ts";
import type { WriteJob, WriteResult } from "./write-job.ts";

/** Totals that are counted as things happen. */
export interface FetchCounters {
  fetchedBytes: number;
  requests: number;
  demandReads: number;
  demandBytes: number;
  stalls: number;
  stallMs: number;
  verificationFailures: number;
  hedged: number;
  retries: number;
  copiedChunks: number;
  prefetchedBytes: number;
}

/** Counts for whoever asked for a transfer. */
export interface TransferAccount {
  fetchedBytes: number;
  requests: number;
  hedged: number;
}

/** Threads that inflate, verify and write. */
export type FetchWorkers = WorkerPool<undefined, WriteJob, WriteResult>;

/** The parts of a fetcher. */
export interface FetchContext {
  readonly tuning: FetchTuning;
  readonly clock: Clock;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  readonly gate: FetchGate;
  readonly counters: FetchCounters;
  /** Bytes that came early and were read then, in shared memory; see `EarlyBlocks`. */
  readonly earlyUsed: BigInt64Array;
  readonly pool: FetchWorkers;
  readonly memory: MemoryChunks;
  readonly board: TransferBoard;
  /** Memory for reads that wait, and for all else. */
  readonly budgets: { readonly demand: BufferBudget; readonly bulk: BufferBudget };
  /** How many transfers of a priority run at once; reads are not bounded here. */
  readonly lanes: Readonly<Record<Exclude<FetchPriority, "demand">, Semaphore>>;
  /** For prefetches of large ranges, of all layers. */
  readonly pieces: PieceLanes;
  /** Bytes that the background may have under way; undefined where nothing is known about the link. */
  readonly backgroundAllowance: () => number | undefined;
  readonly openBlob: (layer: Layer, options: ReadOptions) => Promise<BlobSource>;
  readonly emit: (event: FetchEvent) => void;
}
