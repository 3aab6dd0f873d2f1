/**
 * A fetcher that takes what is missing from memory, through the store's own verification.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { ByteRange, ReadOptions } from "../../src/blob/index.ts";
import {
  createEarlyBlocksMemory,
  createEarlyUseCounter,
  type EarlyBlocksMemory,
  type RangeFetcher,
  type WaitingRange,
} from "../../src/lazyfs/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import type { Layer } from "../../src/store/index.ts";

/** Counts what it brought; can be told to hold reads, or to bring wrong bytes. */
export class MemoryFetcher implements RangeFetcher {
  /** How many chunks were brought. */
  brought: number = 0;
  /** Milliseconds that each read takes. */
  delayMs: number = 0;
  /** Offsets that were noticed. */
  readonly noticed: number[] = [];
  /** Chunks of a layer whose first byte is wrong on the way. */
  readonly wrongChunks: Set<number> = new Set();
  /** While set, reads wait for it or for their signal. */
  held: Promise<void> | undefined = undefined;
  readonly #devices: ReadonlyMap<Digest, Uint8Array>;
  /** Bytes of early blocks that were read. */
  readonly earlyUsed: BigInt64Array = createEarlyUseCounter();
  readonly #early = new Map<Digest, EarlyBlocksMemory>();
  readonly #marks = new Map<Digest, Int32Array>();
  readonly #waiting = new Map<Digest, Set<WaitingRange>>();

  constructor(devices: ReadonlyMap<Digest, Uint8Array>) {
    this.#devices = devices;
  }

  async read(layer: Layer, range: ByteRange, { signal }: ReadOptions = {}): Promise<Uint8Array> {
    const waiting = this.#waiting.get(layer.digest) ?? new Set();
    this.#waiting.set(layer.digest, waiting);
    const entry = { ...range, sinceMs: 0 };
    waiting.add(entry);
    try {
      if (this.held !== undefined) await orAborted(this.held, signal);
      if (this.delayMs > 0) await sleep(this.delayMs, undefined, { signal });
      return await this.#bring(layer, range);
    } finally {
      waiting.delete(entry);
    }
  }

  noteHit(_layer: Layer, offset: number): void {
    this.noticed.push(offset);
  }

  marksOf({ digest }: Layer): Int32Array {
    const marks = this.#marks.get(digest) ?? new Int32Array(new SharedArrayBuffer(32)).fill(-1);
    this.#marks.set(digest, marks);
    return marks;
  }

  earlyBlocksOf({ digest, dataSize }: Layer): EarlyBlocksMemory {
    const early = this.#early.get(digest) ?? createEarlyBlocksMemory(dataSize, this.earlyUsed);
    this.#early.set(digest, early);
    return early;
  }

  layerStatistics(digest: Digest): { readonly waiting: readonly WaitingRange[] } {
    return { waiting: [...(this.#waiting.get(digest) ?? [])] };
  }

  async #bring(layer: Layer, range: ByteRange): Promise<Uint8Array> {
    for (;;) {
      const found = await layer.readRange(range);
      if (found.kind === "data") return found.bytes;
      for (const index of found.chunks) {
        const { place, size } = layer.chunk(index);
        const bytes = (this.#devices.get(layer.digest) ?? new Uint8Array()).slice(place, place + size);
        if (this.wrongChunks.has(index)) bytes[0] = (bytes[0] ?? 0) ^ 1;
        await layer.writeChunk(index, bytes);
        this.brought += 1;
      }
    }
  }
}

async function orAborted(held: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    await Promise.race([held, aborted.promise]);
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}
