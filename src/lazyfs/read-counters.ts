/**
 * Counts of reads that a worker keeps and other threads look at.
 *
 * ```text
 * 8   reads that were asked for
 * 8   reads that were answered from the data file at once
 * 8   bytes of those
 * = 24
 * ```
 *
 * @module
 */

/** What was read of a layer through FUSE. Reads that the kernel answers from its cache are not seen. */
export interface ReadCounts {
  readonly reads: number;
  /** Reads whose bytes were there. */
  readonly hits: number;
  /** Bytes of the hits. */
  readonly hitBytes: number;
}

/** Counters in shared memory. */
export class ReadCounters {
  /** The memory: given to another thread, it makes counters that count together with these. */
  readonly memory: SharedArrayBuffer;
  readonly #counts: BigInt64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(24)) {
    this.memory = memory;
    this.#counts = new BigInt64Array(memory);
  }

  /** Counts a read that was answered with `bytes` bytes. */
  countHit(bytes: number): void {
    Atomics.add(this.#counts, 0, 1n);
    Atomics.add(this.#counts, 1, 1n);
    Atomics.add(this.#counts, 2, BigInt(bytes));
  }

  /** Counts a read that has to wait. */
  countMiss(): void {
    Atomics.add(this.#counts, 0, 1n);
  }

  /** The counts now. */
  counts(): ReadCounts {
    const [reads, hits, hitBytes] = [0, 1, 2].map((at) => Number(Atomics.load(this.#counts, at)));
    return { reads: reads ?? 0, hits: hits ?? 0, hitBytes: hitBytes ?? 0 };
  }
}
