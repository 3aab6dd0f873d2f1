/**
 * What a fetcher knows of a layer that it works for.
 *
 * @module
 */
import { untilAborted } from "../async/index.ts";
import type { EsgzError } from "../errors/index.ts";
import type { BlobSource } from "../blob/index.ts";
import type { Layer } from "../store/index.ts";
import { createEarlyBlocksMemory, EarlyBlocks } from "./early-blocks.ts";
import type { FetchContext } from "./fetch-context.ts";
import { type Flight, layerReleased } from "./flight.ts";
import { MemberRuns } from "./member-run.ts";
import type { WaitingRange } from "./range-fetcher.ts";
import { ReadAhead } from "./read-ahead.ts";
import { ScatteredReads } from "./scattered-reads.ts";

/** State of a layer, from its first use until it is released. */
export class FetchedLayer {
  readonly layer: Layer;
  readonly runs: MemberRuns;
  /** Members on their way, by the first chunk of the run. */
  readonly flights: Map<number, Flight> = new Map();
  readonly ahead: ReadAhead;
  readonly scattered: ScatteredReads;
  /** What came before it was read. */
  readonly early: EarlyBlocks;
  /** Reads that wait, with the time of their begin. */
  readonly waiting: Set<WaitingRange> = new Set();
  fetchedBytes = 0;
  /** Whether chunks that other layers have were looked for. */
  copied: Promise<unknown> | undefined;
  /** Whether that will be done when readers are quiet. */
  copyIsPlanned = false;
  readonly #context: FetchContext;
  readonly #end = new AbortController();
  readonly #pending = new Set<Promise<unknown>>();
  #blob: Promise<BlobSource> | undefined;
  #fullUntilMs = -Infinity;
  #fullReason: EsgzError | undefined;
  #toldFull = false;

  constructor(layer: Layer, context: FetchContext) {
    this.layer = layer;
    this.#context = context;
    this.runs = new MemberRuns(layer);
    this.ahead = new ReadAhead(readAheadLimits(context));
    this.scattered = new ScatteredReads(layer);
    this.early = new EarlyBlocks(createEarlyBlocksMemory(layer.dataSize, context.earlyUsed));
  }

  /** Ends all work for the layer. */
  get signal(): AbortSignal {
    return this.#end.signal;
  }

  /** The blob; opened once for all until {@link FetchedLayer.forgetBlob}. */
  async openBlob(signal: AbortSignal): Promise<BlobSource> {
    this.#blob ??= this.#context.openBlob(this.layer, { signal: this.signal });
    const opening = this.#blob;
    opening.catch(() => {
      this.forgetBlob(opening);
    });
    return await untilAborted(opening, signal);
  }

  /** Has the blob opened anew next time: where it lies, or the right to read it, may have changed. */
  forgetBlob(opening: Promise<BlobSource> | undefined = this.#blob): void {
    if (this.#blob === opening) this.#blob = undefined;
  }

  /** Keeps the release of the layer waiting for work that has no other owner. */
  track(work: Promise<unknown>): void {
    const settled = work.catch(() => undefined).finally(() => this.#pending.delete(settled));
    this.#pending.add(settled);
  }

  /** Whether chunks should be written, or kept in memory because the disk was full a moment ago. */
  get mayWrite(): boolean {
    return this.#context.clock.nowMs() >= this.#fullUntilMs;
  }

  /** What it was that left no room; undefined where only the disk was full. */
  get fullReason(): EsgzError | undefined {
    return this.#fullReason;
  }

  /** Notes that there was no room. */
  noteFull(reason?: EsgzError): void {
    const { clock, tuning, emit } = this.#context;
    this.#fullReason = reason;
    this.#fullUntilMs = clock.nowMs() + tuning.diskRetryMs;
    if (!this.#toldFull) emit({ kind: "disk-full", layer: this.layer.digest });
    this.#toldFull = true;
  }

  /** Has the disk tried again at once: somebody asks for what can only be done with room, and may have made it. */
  retryDisk(): void {
    this.#fullUntilMs = -Infinity;
  }

  /** Notes that there is room. */
  noteWritten(): void {
    this.#toldFull = false;
  }

  /** Notes a chunk that nobody waited for. */
  noteEarly(chunk: number): void {
    const { place, size } = this.layer.chunk(chunk);
    this.#context.counters.prefetchedBytes += this.early.add({ offset: place, size });
  }

  /** Stops everything, and waits until nothing touches the layer any more. */
  async release(): Promise<void> {
    this.#end.abort(layerReleased(this.layer.digest));
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    this.ahead.clear();
    this.#context.memory.drop(this.layer);
  }
}

/** Device bytes for a byte of the blob, roughly: what is compressed takes two to three times the room. */
const EXPANSION = 2;
/** Of a link that is not known yet. */
const FIRST_WINDOW = 512 << 10;
const LARGEST_FIRST_WINDOW = 2 << 20;
/** No reader is read ahead of for longer: others wait behind it, and it may go elsewhere. */
const LONGEST_AHEAD_MS = 500;

/** A reader who begins somewhere gets what travels in the time of one round trip, later what the link carries for a while. */
function readAheadLimits({ tuning, board }: FetchContext): {
  readonly readAheadMin: number;
  readonly readAheadMax: number;
} {
  return {
    get readAheadMin(): number {
      const along = Math.round(board.roundTripBytes ?? FIRST_WINDOW / EXPANSION) * EXPANSION;
      return Math.max(tuning.readAheadMin, Math.min(LARGEST_FIRST_WINDOW, tuning.readAheadMax, along));
    },
    get readAheadMax(): number {
      const { bytesPerMs = Infinity } = board.link;
      const carried = Math.round(bytesPerMs * LONGEST_AHEAD_MS) * EXPANSION;
      return Math.min(tuning.readAheadMax, Math.max(LARGEST_FIRST_WINDOW, carried));
    },
  };
}
