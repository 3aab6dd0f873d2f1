/**
 * Brings what is missing of layers: for reads that wait, ahead of readers, for prefetches and fills.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { BLOCK_SIZE, type Layer, type Store } from "../store/index.ts";
import { createFetchContext } from "./create-fetch-context.ts";
import { type ChunksInMemory, waitForRange } from "./demand-read.ts";
import type { EarlyBlocksMemory } from "./early-blocks.ts";
import { fetchAhead } from "./fetch-ahead.ts";
import type { FetchContext, FetchWorkers } from "./fetch-context.ts";
import { bringChunks } from "./fetch-chunks.ts";
import type {
  FetchEvent,
  FetchStatistics,
  FillProgress,
  FillReport,
  LayerStatistics,
  PrefetchReport,
} from "./fetch-report.ts";
import type { FetchTuning } from "./fetch-tuning.ts";
import { FetchedLayer } from "./fetched-layer.ts";
import { fillLayers } from "./fill-layers.ts";
import { copyKnownChunks } from "./known-chunks.ts";
import { prefetchLayer } from "./prefetch-layer.ts";
import { type DeviceParts, readDevice } from "./read-device.ts";
import type { RangeFetcher } from "./range-fetcher.ts";

/** What a fetcher works with. */
export interface LayerFetcherOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Worker threads that inflate, verify and write. */
  readonly jobs: number;
  /** How many of them stay when there is nothing to do, asked each time; default none. */
  readonly keepWorkers?: (() => number) | undefined;
  /** Those of another fetcher, in place of its own. */
  readonly workers?: FetchWorkers | undefined;
  /** Opens a layer's blob where `layer.source.locations` says. Called once for each layer, and again after failures. */
  readonly openBlob: (layer: Layer, options: ReadOptions) => Promise<BlobSource>;
  /** What is missing has the value of `DEFAULT_FETCH_TUNING`. */
  readonly tuning?: Partial<FetchTuning> | undefined;
  /** Is told what happens. It must not throw. */
  readonly onEvent?: ((event: FetchEvent) => void) | undefined;
}

/** How to bring a range. */
export interface EnsureOptions extends ReadOptions {
  readonly priority: "demand" | "prefetch" | "background";
}

/** How to fill layers. */
export interface FillLayersOptions extends ReadOptions {
  /** At full speed, or in what reads leave of the link. */
  readonly priority: "pull" | "background";
  readonly onProgress?: ((progress: FillProgress) => void) | undefined;
}

/** A long read is done in parts of this size: what is asked for at once is bounded. */
const PART_SIZE = 16 << 20;
/** Copying for readers waits no longer for quiet. */
const COPY_MOST_MS = 10_000;
/** A fill in the background begins after this time, and then steps aside for each read. */
const FILL_MOST_MS = 1500;

/**
 * Brings what layers lack, each compressed member once for all who want it. Nothing is written, and no byte returned, that
 * does not match its chunk's digest. Layers must stay open until {@link LayerFetcher.release}.
 */
export class LayerFetcher implements RangeFetcher, AsyncDisposable {
  readonly #store: Store;
  readonly #context: FetchContext;
  readonly #layers = new Map<Digest, FetchedLayer>();
  readonly #end = new AbortController();
  readonly #ownsWorkers: boolean;

  constructor(options: LayerFetcherOptions) {
    this.#ownsWorkers = options.workers === undefined;
    this.#store = options.store;
    this.#context = createFetchContext(options);
  }

  /** Its threads, for another fetcher that ends before this one. */
  get workers(): FetchWorkers {
    return this.#context.pool;
  }

  /** Starts the threads that fetching needs: they are there then when the first bytes are. */
  warm(): void {
    this.#context.pool.startAll();
  }

  /**
   * Resolves when every byte of a range of the data device is in the store, or in memory where the disk is full.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH` if what came was wrong, twice; `TIMED_OUT` for a read that waited too long (a
   * later one tries again); `NOT_SUPPORTED` for a layer that cannot be fetched in parts; codes of the medium; the
   * signal's reason
   */
  async ensure(layer: Layer, range: ByteRange, options: EnsureOptions): Promise<void> {
    const fetched = this.#fetched(layer);
    if (options.priority === "demand") {
      for (const part of partsOf(range)) await this.#demand(fetched, part, options);
      return;
    }
    const signal = this.#signalFor(fetched, options);
    await bringChunks(this.#context, fetched, {
      chunks: layer.chunksIn(range),
      priority: options.priority,
      signal,
    });
  }

  /**
   * The bytes of a range of the data device, waiting for what is missing. The result is the caller's. Errors as
   * {@link LayerFetcher.ensure}, and `RANGE_INVALID`, `IO_FAILED`.
   */
  async read(layer: Layer, range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    const fetched = this.#fetched(layer);
    const found = await layer.readRange(range, options);
    if (found.kind === "data") {
      this.#countRead(fetched, range);
      this.#followHit(fetched, range);
      return found.bytes;
    }
    const bytes = new Uint8Array(range.size);
    for (const part of partsOf(range)) {
      const memory = await this.#demand(fetched, part, options);
      const parts: DeviceParts = { layer, range: part, memory };
      bytes.set(await readDevice(parts, options), part.offset - range.offset);
    }
    return bytes;
  }

  /** Told that a reader was seen at a mark, or anywhere: what comes next is asked for. */
  noteHit(layer: Layer, offset: number): void {
    const size = Math.min(BLOCK_SIZE, layer.dataSize - offset);
    if (size <= 0 || this.#end.signal.aborted) return;
    const fetched = this.#fetched(layer);
    fetched.early.use({ offset, size });
    this.#followHit(fetched, { offset, size });
  }

  /** What came before it was read, for threads that answer hits: they note what is read. */
  earlyBlocksOf(layer: Layer): EarlyBlocksMemory {
    return this.#fetched(layer).early.memory;
  }

  /** Blocks whose readers are to be noticed, in shared memory: 8 numbers, -1 for none. */
  marksOf(layer: Layer): Int32Array {
    return this.#fetched(layer).ahead.marks;
  }

  /**
   * Fetches what the layer's author wanted to be there first: the start of the blob, up to `source.prefetchSize`.
   *
   * @throws {EsgzError} as {@link LayerFetcher.ensure}, without a deadline
   */
  async prefetch(layer: Layer, options: ReadOptions = {}): Promise<PrefetchReport> {
    const fetched = this.#fetched(layer);
    return await prefetchLayer(this.#context, fetched, { signal: this.#signalFor(fetched, options) });
  }

  /**
   * Fetches everything that layers lack, after copying what others have.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `NO_SPACE`, `NOT_SUPPORTED`; codes of the medium; the signal's reason
   */
  async fill(layers: readonly Layer[], options: FillLayersOptions): Promise<FillReport> {
    const fetched = layers.map((layer) => this.#fetched(layer));
    const signals = [...fetched.map(({ signal }) => signal), this.#end.signal];
    if (options.signal !== undefined) signals.push(options.signal);
    return await fillLayers(this.#context, fetched, {
      priority: options.priority,
      signal: AbortSignal.any(signals),
      onProgress: options.onProgress,
      copyKnown: async (layer, signal) =>
        options.priority === "background"
          ? await this.#copyWhenQuiet(layer, { mostMs: FILL_MOST_MS, signal })
          : await copyKnownChunks(this.#context, layer, { store: this.#store, signal }),
    });
  }

  /** Totals since the start. */
  statistics(): FetchStatistics {
    const { counters, board, pool, gate, earlyUsed } = this.#context;
    const prefetchUsedBytes = Number(Atomics.load(earlyUsed, 0));
    const queueLengths = { transfers: board.size, jobs: pool.queueLength, reads: gate.waiting };
    return { ...counters, prefetchUsedBytes, workers: pool.liveThreads, queueLengths };
  }

  /** What is known of one layer; zeros for one that was not used. */
  layerStatistics(digest: Digest): LayerStatistics {
    const fetched = this.#layers.get(digest);
    const nowMs = this.#context.clock.nowMs();
    const waiting = [...(fetched?.waiting ?? [])].map((wait) => ({ ...wait, sinceMs: nowMs - wait.sinceMs }));
    return { fetchedBytes: fetched?.fetchedBytes ?? 0, waiting };
  }

  /** Stops all work for a layer and waits for its end; reads that wait reject with `ABORTED`. */
  async release(layer: Layer): Promise<void> {
    const fetched = this.#layers.get(layer.digest);
    if (fetched?.layer !== layer) return;
    this.#layers.delete(layer.digest);
    await fetched.release();
  }

  /** Stops everything. */
  async close(): Promise<void> {
    this.#end.abort(new EsgzError("ABORTED", "Cannot fetch: the fetcher was closed"));
    const layers = [...this.#layers.values()];
    this.#layers.clear();
    await Promise.all(layers.map((fetched) => fetched.release()));
    if (this.#ownsWorkers) await this.#context.pool[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fetched(layer: Layer): FetchedLayer {
    this.#end.signal.throwIfAborted();
    const known = this.#layers.get(layer.digest);
    if (known?.layer === layer) return known;
    // An older object of the same layer has been closed, or its owner would still use this one.
    if (known !== undefined) void known.release();
    const fetched = new FetchedLayer(layer, this.#context);
    this.#layers.set(layer.digest, fetched);
    return fetched;
  }

  #signalFor(fetched: FetchedLayer, { signal }: ReadOptions): AbortSignal {
    return signal === undefined ? fetched.signal : AbortSignal.any([fetched.signal, signal]);
  }

  /** A read that may have to wait. */
  async #demand(fetched: FetchedLayer, range: ByteRange, options: ReadOptions): Promise<ChunksInMemory> {
    const { layer } = fetched;
    this.#countRead(fetched, range);
    const missing = await layer.missingChunks(layer.chunksIn(range), options);
    if (missing.length === 0) {
      this.#followHit(fetched, range);
      return new Map();
    }
    try {
      const signal = this.#signalFor(fetched, options);
      return await waitForRange(this.#context, fetched, { range, signal });
    } finally {
      this.#copyOnce(fetched);
    }
  }

  #countRead(fetched: FetchedLayer, range: ByteRange): void {
    this.#context.counters.demandReads += 1;
    this.#context.counters.demandBytes += range.size;
    fetched.early.use(range);
  }

  #followHit(fetched: FetchedLayer, { offset, size }: ByteRange): void {
    const ahead = fetched.layer.complete ? undefined : fetched.ahead.noteHit(offset, size);
    if (ahead !== undefined) fetchAhead(this.#context, fetched, ahead);
  }

  /** Some time after the first contact, when readers are busy elsewhere: chunks that other layers have need not be fetched. */
  #copyOnce(fetched: FetchedLayer): void {
    if (fetched.copyIsPlanned || fetched.copied !== undefined || fetched.signal.aborted) return;
    fetched.copyIsPlanned = true;
    fetched.track(this.#copyWhenQuiet(fetched, { mostMs: COPY_MOST_MS, signal: fetched.signal }));
  }

  async #copyWhenQuiet(
    fetched: FetchedLayer,
    options: { readonly mostMs: number; readonly signal: AbortSignal },
  ): Promise<number> {
    const { signal, mostMs } = options;
    const { gate, tuning } = this.#context;
    await gate.quiet({ quietMs: tuning.quietMs, mostMs, signal });
    return await copyKnownChunks(this.#context, fetched, { store: this.#store, signal });
  }
}

function partsOf({ offset, size }: ByteRange): ByteRange[] {
  if (size === 0) return [{ offset, size }];
  return Array.from({ length: Math.ceil(size / PART_SIZE) }, (_, part) => ({
    offset: offset + part * PART_SIZE,
    size: Math.min(PART_SIZE, size - part * PART_SIZE),
  }));
}
