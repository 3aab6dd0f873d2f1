/**
 * Executes a plan: several ranges in flight, each member batch handed to a worker as soon as its bytes are there.
 *
 * ```text
 * range  --receive--> buffer --batch by batch--> worker (inflate, verify, write) --+
 *                        `----- in blob order --> digest of the blob --------------+--> buffer is free again
 * ```
 *
 * @module
 */
import { mapConcurrent, untilAborted } from "../async/index.ts";
import {
  type BlobSource,
  type BufferBudget,
  type BufferLease,
  type FlowMonitor,
  receiveRange,
} from "../blob/index.ts";
import type { HashedPart, OrderedHash } from "./ordered-hash.ts";
import type { PullProgress } from "./pull-progress.ts";
import type { Batch, RangePlan } from "./range-plan.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** A layer whose members are fetched. */
export interface FetchedLayer {
  readonly blob: BlobSource;
  readonly compression: "gzip" | "zstd";
  /** The end of the blob as far as it is at hand. */
  readonly tail: Uint8Array;
  readonly tailOffset: number;
  /** Of the whole blob; undefined where parts of it are skipped. */
  readonly hash: OrderedHash | undefined;
}

/** What a fetch works with. */
export interface FetchOptions {
  readonly layerOf: (index: number) => FetchedLayer;
  readonly pool: WorkerPool;
  readonly budget: BufferBudget;
  /** Ranges being received at once. */
  readonly connections: number;
  readonly monitor: FlowMonitor;
  readonly progress: PullProgress;
  /** Resolves when workers may begin to write. */
  readonly ready: Promise<void>;
  readonly signal: AbortSignal;
}

/**
 * Fetches, verifies and writes all ranges. The first failure ends everything that is under way.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `COMPRESSION_INVALID`, `NO_SPACE`, `IO_FAILED`; codes of the medium.
 */
export async function fetchRanges(ranges: readonly RangePlan[], options: FetchOptions): Promise<void> {
  const failure = new AbortController();
  const signal = AbortSignal.any([options.signal, failure.signal]);
  const unfinished: Promise<void>[] = [];
  const fail = (error: unknown): void => failure.abort(error);
  try {
    await mapConcurrent(
      ranges,
      async (range, context) => {
        const { written } = await fetchRange(range, { ...options, signal: context.signal, fail });
        unfinished.push(written);
      },
      { concurrency: options.connections, signal },
    );
    await Promise.all(unfinished);
  } catch (error) {
    fail(error);
    await Promise.allSettled(unfinished);
  }
  if (failure.signal.aborted) throw failure.signal.reason;
  options.signal.throwIfAborted();
}

type RangeOptions = FetchOptions & { readonly fail: (error: unknown) => void };

/** Receives one range. What is left to do with its buffer then goes on in `written`, which never rejects. */
async function fetchRange(
  range: RangePlan,
  options: RangeOptions,
): Promise<{ readonly written: Promise<void> }> {
  const { progress, signal } = options;
  const layer = options.layerOf(range.layer);
  const lease = await options.budget.acquire(range.size, { signal });
  const bytes = new Uint8Array(lease.buffer, 0, range.size);
  const part = layer.hash?.open(range.offset, bytes);
  const writer = new BatchWriter(range, { ...options, buffer: lease.buffer, compression: layer.compression });
  let counted = 0;
  const advance = (received: number): void => {
    const present = received >= range.fetchSize ? range.size : received;
    writer.advance(range.offset + present);
    part?.advance(present);
    progress.received(range.layer, received - counted);
    counted = received;
  };
  copyTail(range, { layer, bytes });
  if (range.fetchSize === 0) advance(0);
  else {
    await receiveRange(layer.blob, {
      offset: range.offset,
      into: bytes.subarray(0, range.fetchSize),
      monitor: options.monitor,
      signal,
      onReceived: advance,
      onHedge: () => (progress.hedged += 1),
    });
  }
  return { written: releaseWhenUnused({ lease, writer, part }, options) };
}

async function releaseWhenUnused(
  { lease, writer, part }: { lease: BufferLease; writer: BatchWriter; part: HashedPart | undefined },
  { fail, signal }: RangeOptions,
): Promise<void> {
  try {
    await writer.finished();
    // If an earlier range fails, this one's turn to be hashed never comes.
    if (part !== undefined) await untilAborted(part.hashed, signal);
  } catch (error) {
    fail(error);
  }
  lease.release();
}

/** Fills the end of a range with what came with the index. */
function copyTail(range: RangePlan, { layer, bytes }: { layer: FetchedLayer; bytes: Uint8Array }): void {
  if (range.fetchSize === range.size) return;
  const from = range.offset + range.fetchSize - layer.tailOffset;
  bytes.set(layer.tail.subarray(from, from + range.size - range.fetchSize), range.fetchSize);
}

/** Hands the batches of one range to the workers, in order, as their bytes arrive. */
class BatchWriter {
  readonly #range: RangePlan;
  readonly #options: RangeOptions & {
    readonly buffer: SharedArrayBuffer;
    readonly compression: "gzip" | "zstd";
  };
  readonly #jobs: Promise<unknown>[] = [];
  #next = 0;

  constructor(
    range: RangePlan,
    options: RangeOptions & { readonly buffer: SharedArrayBuffer; readonly compression: "gzip" | "zstd" },
  ) {
    this.#range = range;
    this.#options = options;
  }

  /** Says that the blob is there up to this offset. */
  advance(blobEnd: number): void {
    const { batches } = this.#range;
    for (let batch = batches[this.#next]; batch !== undefined; batch = batches[this.#next]) {
      if (batch.blobEnd > blobEnd) return;
      this.#next += 1;
      const job = this.#write(batch);
      job.catch(this.#options.fail);
      this.#jobs.push(job);
    }
  }

  /** Rejects with the first failure of a batch. */
  async finished(): Promise<void> {
    await Promise.all(this.#jobs);
  }

  async #write({ from, to }: Batch): Promise<void> {
    const { ready, pool, buffer, compression } = this.#options;
    await ready;
    await pool.run({ kind: "write", buffer, blobOffset: this.#range.offset, compression, from, to });
  }
}
