/**
 * Makes the parts of a fetcher.
 *
 * @module
 */
import { Semaphore } from "../async/index.ts";
import { BufferBudget } from "../blob/index.ts";
import { programBeside, WorkerPool, type WorkerPoolOptions } from "../workers/index.ts";
import { createEarlyUseCounter } from "./early-blocks.ts";
import type { FetchContext, FetchCounters, FetchWorkers } from "./fetch-context.ts";
import { FetchGate } from "./fetch-gate.ts";
import { DEFAULT_FETCH_TUNING } from "./fetch-tuning.ts";
import type { LayerFetcherOptions } from "./layer-fetcher.ts";
import { MemoryChunks } from "./memory-chunks.ts";
import { DEMAND_SLOT } from "./start-transfer.ts";
import { PieceLanes } from "./piece-lanes.ts";
import { TransferBoard } from "./transfer-board.ts";

/** When no read has waited for so long, the background takes more of the link at once. */
const QUIET_MS = 2000;
const QUIET_FACTOR = 4;

/** What an image says is read first will be read: its pieces need not wait for each other. */
const PREFETCH_PIECES = 4;

/** Makes the parts of a fetcher. Threads are started when there is work for them. */
export function createFetchContext(options: LayerFetcherOptions): FetchContext {
  const { clock, random, openBlob, keepWorkers: keep } = options;
  const tuning = { ...DEFAULT_FETCH_TUNING, ...options.tuning };
  const budgets = {
    demand: new BufferBudget({ totalBytes: tuning.demandBytesInFlight, slotSize: DEMAND_SLOT }),
    bulk: new BufferBudget({ totalBytes: tuning.bytesInFlight, slotSize: tuning.rangeSize }),
  };
  const onEnded = (): void => {
    budgets.demand.trim();
    budgets.bulk.trim();
  };
  const { aheadConnections, connections, backgroundConnections, backgroundRangeMs } = tuning;
  const gate = new FetchGate({ clock, yieldMs: tuning.yieldMs });
  const board = new TransferBoard(clock);
  return {
    tuning,
    clock,
    random,
    openBlob,
    budgets,
    gate,
    counters: zeroCounters(),
    earlyUsed: createEarlyUseCounter(),
    pool:
      options.workers ?? openFetchWorkers(options, { afterMs: tuning.workerIdleMs, clock, keep, onEnded }),
    memory: new MemoryChunks(tuning.memoryBytes),
    board,
    backgroundAllowance: () =>
      board.backgroundAllowance(backgroundRangeMs * (gate.idleMs > QUIET_MS ? QUIET_FACTOR : 1)),
    lanes: {
      readahead: new Semaphore(aheadConnections),
      prefetch: new Semaphore(aheadConnections),
      pull: new Semaphore(connections),
      background: new Semaphore(backgroundConnections),
    },
    pieces: new PieceLanes({ clock, lanes: PREFETCH_PIECES }),
    emit: options.onEvent ?? ((): void => undefined),
  };
}

function openFetchWorkers(
  { jobs }: LayerFetcherOptions,
  idle: NonNullable<WorkerPoolOptions<undefined>["idle"]>,
): FetchWorkers {
  const program = programBeside(import.meta.url, "./fetch-worker");
  return new WorkerPool({ program, start: undefined, threads: jobs, name: "esgz-fetch", idle });
}

function zeroCounters(): FetchCounters {
  return {
    fetchedBytes: 0,
    requests: 0,
    demandReads: 0,
    demandBytes: 0,
    stalls: 0,
    stallMs: 0,
    verificationFailures: 0,
    hedged: 0,
    retries: 0,
    copiedChunks: 0,
    prefetchedBytes: 0,
  };
}
