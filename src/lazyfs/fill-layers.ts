/**
 * Fetches everything that is missing of some layers.
 *
 * ```text
 * known chunks are copied ─ what is missing is counted ─ ranges, layers taking turns ─ another pass for what was given back
 * ```
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import { untilAborted } from "../async/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { FetchContext, TransferAccount } from "./fetch-context.ts";
import type { FillProgress, FillReport } from "./fetch-report.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import { planMembers } from "./plan-members.ts";
import { startTransfer } from "./start-transfer.ts";
import { writeRemembered } from "./write-remembered.ts";

/** How to fill. */
export interface FillOptions {
  readonly priority: "pull" | "background";
  readonly signal: AbortSignal;
  readonly onProgress?: ((progress: FillProgress) => void) | undefined;
  /** Copies chunks that other layers have; returns their bytes. */
  readonly copyKnown: (fetched: FetchedLayer, signal: AbortSignal) => Promise<number>;
}

/** Chunks that are looked at before others get a turn. */
const SLICE = 4096;
const PROGRESS_MS = 100;
/** Passes in a row that bring nothing: each may have waited for what others had on its way, and they failed. */
const MOST_FRUITLESS = 8;

/**
 * Fills layers. A pull ends with the first failure; the background fetches what it can first, and then fails.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `NO_SPACE`, `NOT_SUPPORTED`; codes of the medium; the signal's reason
 */
export async function fillLayers(
  context: FetchContext,
  layers: readonly FetchedLayer[],
  options: FillOptions,
): Promise<FillReport> {
  if (options.priority === "pull") for (const layer of layers) layer.retryDisk();
  const fill = new LayersFill(context, layers, options);
  return await fill.run();
}

class LayersFill {
  readonly #context: FetchContext;
  readonly #layers: readonly FetchedLayer[];
  readonly #options: FillOptions;
  readonly #failure = new AbortController();
  readonly #signal: AbortSignal;
  readonly #account: TransferAccount = { fetchedBytes: 0, requests: 0, hedged: 0 };
  readonly #cursors = new Map<FetchedLayer, number>();
  readonly #startMs: number;
  #firstError: { readonly error: unknown } | undefined;
  #running = 0;
  /** Bytes that were asked for by requests under way. */
  #askedBytes = 0;
  #ended = Promise.withResolvers<void>();
  #turn = 0;
  #copiedBytes = 0;
  #presentBytes = 0;
  #totalBytes = 0;
  #toldMs = -Infinity;

  constructor(context: FetchContext, layers: readonly FetchedLayer[], options: FillOptions) {
    this.#context = context;
    this.#layers = layers;
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#failure.signal]);
    this.#startMs = context.clock.nowMs();
  }

  async run(): Promise<FillReport> {
    for (const fetched of this.#layers) await this.#prepare(fetched);
    let [before, fruitless] = [-1, 0];
    for (let open = this.#open(); open.length > 0; open = this.#open()) {
      const filled = open.reduce((sum, { layer }) => sum + layer.filledCount, 0);
      fruitless = filled === before ? fruitless + 1 : 0;
      if (fruitless > MOST_FRUITLESS) this.#throwFirst();
      before = filled;
      await this.#pass(open);
      if (this.#firstError !== undefined && this.#open().length > 0) this.#throwFirst();
    }
    this.#tell(true);
    const { fetchedBytes, requests, hedged } = this.#account;
    const ms = this.#context.clock.nowMs() - this.#startMs;
    const [copiedBytes, presentBytes] = [this.#copiedBytes, this.#presentBytes];
    return { fetchedBytes, copiedBytes, presentBytes, requests, hedged, ms };
  }

  #open(): FetchedLayer[] {
    return this.#layers.filter(({ layer }) => !layer.complete);
  }

  #throwFirst(): never {
    throw (
      this.#firstError?.error ??
      new EsgzError("INTERNAL", "Cannot fill layers: expected chunks to arrive, got none")
    );
  }

  /** Finds out what is there, copies what others have, and counts the rest. */
  async #prepare(fetched: FetchedLayer): Promise<void> {
    const { layer } = fetched;
    if (layer.unverifiedCount > 0) await layer.reverify({ signal: this.#signal });
    await writeRemembered(this.#context, fetched, this.#context.memory.chunksOf(layer));
    if (!layer.complete) this.#copiedBytes += await this.#options.copyKnown(fetched, this.#signal);
    let missingBytes = 0;
    let counted = -1;
    for (let chunk = 0; chunk < layer.chunkCount && !layer.complete; chunk += 1) {
      if (chunk % SLICE === 0) await setImmediate();
      if (layer.hasChunk(chunk)) continue;
      const row = layer.chunk(chunk);
      missingBytes += row.size;
      if (row.blobOffset !== counted) this.#totalBytes += row.memberSize;
      counted = row.blobOffset;
    }
    this.#presentBytes += layer.chunkBytes - missingBytes;
  }

  async #pass(layers: readonly FetchedLayer[]): Promise<void> {
    this.#cursors.clear();
    for (const fetched of layers) this.#cursors.set(fetched, 0);
    const { connections, backgroundConnections } = this.#context.tuning;
    const lanes = this.#options.priority === "pull" ? connections : backgroundConnections;
    const done = await Promise.allSettled(Array.from({ length: lanes }, async () => await this.#runLane()));
    for (const lane of done) if (lane.status === "rejected") this.#noteError(lane.reason);
    await this.#untilSettled(layers);
    this.#options.signal.throwIfAborted();
    if (this.#failure.signal.aborted) throw this.#failure.signal.reason;
  }

  async #runLane(): Promise<void> {
    while (!this.#signal.aborted) {
      await this.#stepAside();
      const started = this.#startNext();
      if (started === undefined) return;
      this.#running += 1;
      this.#askedBytes += started.bytes;
      await started.received;
      this.#running -= 1;
      this.#askedBytes -= started.bytes;
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
      this.#tell(false);
    }
  }

  /**
   * While reads wait the background starts nothing but its share, and a pull keeps half of its connections idle. On a slow
   * link the background has little under way, so that a read does not have to wait for much.
   */
  async #stepAside(): Promise<void> {
    const { gate, tuning, backgroundAllowance } = this.#context;
    const isPull = this.#options.priority === "pull";
    const most = isPull ? tuning.connections / 2 : 1;
    while (gate.waiting > 0 && this.#running >= most) await gate.pause({ signal: this.#signal });
    if (isPull) return;
    await gate.pause({ signal: this.#signal });
    const isEnough = (): boolean => this.#askedBytes >= (backgroundAllowance() ?? tuning.minRangeSize);
    while (this.#running > 0 && isEnough()) await untilAborted(this.#ended.promise, this.#signal);
  }

  /** Starts the next request of the layer whose turn it is; undefined when nothing is left to start. */
  #startNext(): { readonly received: Promise<void>; readonly bytes: number } | undefined {
    for (const layers = [...this.#cursors.keys()]; this.#cursors.size > 0; this.#turn += 1) {
      const fetched = layers[this.#turn % layers.length];
      const cursor = fetched === undefined ? undefined : this.#cursors.get(fetched);
      if (fetched === undefined || cursor === undefined) continue;
      const plan = planMembers(fetched, cursor, {
        endChunk: fetched.layer.chunkCount,
        maxBytes: this.#rangeSize(),
        gapSize: this.#context.tuning.gapSize,
      });
      if (plan.nextChunk >= fetched.layer.chunkCount) this.#cursors.delete(fetched);
      else this.#cursors.set(fetched, plan.nextChunk);
      if (plan.runs.length === 0) continue;
      this.#turn += 1;
      const { priority } = this.#options;
      const { flights, received } = startTransfer(this.#context, fetched, {
        runs: plan.runs,
        priority,
        signal: this.#signal,
        account: this.#account,
      });
      for (const flight of flights) flight.settled.catch((error: unknown) => this.#noteError(error));
      return { received, bytes: plan.runs.reduce((sum, { size }) => sum + size, 0) };
    }
    return undefined;
  }

  #rangeSize(): number {
    const { rangeSize, minRangeSize, backgroundConnections } = this.#context.tuning;
    if (this.#options.priority === "pull") return rangeSize;
    const allowance = this.#context.backgroundAllowance() ?? 0;
    return Math.min(rangeSize, Math.max(minRangeSize, allowance / backgroundConnections));
  }

  #noteError(error: unknown): void {
    if (this.#signal.aborted) return;
    this.#firstError ??= { error };
    if (this.#options.priority === "pull" || isEsgzError(error, "NO_SPACE")) this.#failure.abort(error);
  }

  /** Waits for what others bring, too. */
  async #untilSettled(layers: readonly FetchedLayer[]): Promise<void> {
    const settled = layers.flatMap(({ flights }) => [...flights.values()].map((flight) => flight.settled));
    await untilAborted(Promise.allSettled(settled), this.#options.signal);
  }

  #tell(last: boolean): void {
    const { onProgress } = this.#options;
    const nowMs = this.#context.clock.nowMs();
    if (onProgress === undefined || (!last && nowMs - this.#toldMs < PROGRESS_MS)) return;
    this.#toldMs = nowMs;
    const { fetchedBytes } = this.#account;
    onProgress({ fetchedBytes, totalBytes: last ? fetchedBytes : Math.max(fetchedBytes, this.#totalBytes) });
  }
}
