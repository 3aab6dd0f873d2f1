/**
 * One request for members that follow each other, through pauses and failures.
 *
 * ```text
 * blob.stream ── pieces ──> JobAssembly ── job complete ──> worker ── flights settle
 *                 ^ waits for memory, steps aside for reads
 * ```
 *
 * Bytes that have arrived are not asked for again: after a failure the next request begins where the last one ended.
 *
 * @module
 */
import type { BufferLease, Flow } from "../blob/index.ts";
import { isEsgzError, messageOf } from "../errors/index.ts";
import type { FetchContext, TransferAccount } from "./fetch-context.ts";
import type { FetchPriority } from "./fetch-report.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import { JobAssembly, type JobSink } from "./job-assembly.ts";
import { type SegmentOptions, segmentsOf } from "./plan-members.ts";
import { RangeStream } from "./range-stream.ts";
import type { WatchedTransfer } from "./transfer-board.ts";
import { judgeTransferFailure } from "./transfer-failure.ts";
import { Urgency } from "./urgency.ts";

/** What a transfer brings. */
export interface TransferOptions extends SegmentOptions {
  readonly fetched: FetchedLayer;
  /** In the order of the blob; at least one. */
  readonly flights: readonly Flight[];
  readonly priority: FetchPriority;
  readonly sink: JobSink;
  /** Ends it early, beside the layer's release. */
  readonly signal?: AbortSignal | undefined;
  readonly account?: TransferAccount | undefined;
}

/** More urgent goes first where memory is short. */
const RANKS: Readonly<Record<FetchPriority, number>> = {
  demand: 4,
  readahead: 3,
  prefetch: 2,
  pull: 1,
  background: 0,
};

/** No request asks for less, unless less is left. */
const LEAST_AT_ONCE = 64 << 10;

/** Fewer bytes in the time after which a connection is taken to stand still are none: one that crawls never ends. */
const LEAST_WHILE_WAITING = 4096;

/** A request under way. */
export class Transfer implements WatchedTransfer {
  readonly priority: FetchPriority;
  readonly #context: FetchContext;
  readonly #options: TransferOptions;
  readonly #signal: AbortSignal;
  readonly #jobs: JobAssembly;
  readonly #urgency = new Urgency();
  /** Ends the pause before the next try. */
  #wake: (() => void) | undefined;
  #stream: RangeStream | undefined;
  #flow: Flow | undefined;
  #attempt = 0;
  /** Since when bytes are waited for; undefined while it is this side that does not read. */
  #waitingSinceMs: number | undefined;
  #activeMs = 0;
  /** Where the connection was last seen to move. */
  #moved = { activeMs: 0, received: 0 };
  #stoodAside = false;
  #received = 0;

  constructor(context: FetchContext, options: TransferOptions) {
    this.#context = context;
    this.#options = options;
    this.priority = options.priority;
    this.#jobs = new JobAssembly(segmentsOf(options.flights, options), {
      fetched: options.fetched,
      sink: options.sink,
      lease: (size) => this.#lease(size),
      isUrgent: () => this.isUrgent,
    });
    const { signal } = options.fetched;
    this.#signal = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]);
  }

  /** Whether a read waits for it, or did. */
  get isUrgent(): boolean {
    return this.#urgency.isRaised || this.priority === "demand";
  }

  /** Receives everything and hands it over. Never rejects: flights tell what went wrong. */
  async run(): Promise<void> {
    const startMs = this.#context.clock.nowMs();
    try {
      await this.#enterLane(() => this.#receiveAll());
    } catch (error) {
      this.#jobs.giveUp((flight) => {
        if (this.#options.signal?.aborted === true) flight.settle("released");
        else flight.fail(error);
      });
    }
    if (this.#received === 0) return;
    const { layer } = this.#options.fetched;
    const ms = this.#context.clock.nowMs() - startMs;
    this.#context.emit({
      kind: "fetched",
      layer: layer.digest,
      bytes: this.#received,
      ms,
      priority: this.priority,
    });
  }

  /**
   * One more read waits for one of its members: it starts at once, or tries again at once, and steps aside for nobody
   * any more.
   */
  raise(): void {
    this.#urgency.raise();
    this.#wake?.();
  }

  /** How long a member will take to arrive, as far as this can be told; undefined before the first bytes. */
  etaMs(flight: Flight): number | undefined {
    const missing = flight.run.blobOffset + flight.run.size - this.#jobs.at;
    if (this.#received === 0) return undefined;
    return (missing * Math.max(1, this.#activeMs)) / this.#received;
  }

  /** Gives a member, and what comes behind it, back to whoever wants it sooner: see `JobAssembly.cut()`. */
  cut(flight: Flight): boolean {
    return this.#jobs.cut(flight);
  }

  /** Opens a second connection beside one that is slow; not where it is this side that does not read. */
  hedge(): void {
    this.#hedge({ anew: false });
  }

  /** Where connections stand still or crawl, another one after each while: nobody tells when a network is back. */
  checkStall(nowMs: number): void {
    if (this.#stream === undefined || this.#waitingSinceMs === undefined) return;
    const now = { activeMs: this.#activeMs + nowMs - this.#waitingSinceMs, received: this.#received };
    const moves = now.received - this.#moved.received >= LEAST_WHILE_WAITING;
    if (!moves && now.activeMs - this.#moved.activeMs < this.#context.tuning.stallMs) return;
    this.#moved = now;
    if (!moves) this.#hedge({ anew: true });
  }

  #hedge(options: { readonly anew: boolean }): void {
    if (this.#stream === undefined || this.#waitingSinceMs === undefined || this.#signal.aborted) return;
    const { counters, emit } = this.#context;
    counters.hedged += 1;
    if (this.#options.account !== undefined) this.#options.account.hedged += 1;
    this.#countRequest();
    emit({ kind: "hedged", layer: this.#options.fetched.layer.digest });
    this.#stream.hedge(options);
  }

  async #enterLane(work: () => Promise<void>): Promise<void> {
    if (this.priority === "demand") {
      await work();
      return;
    }
    const lane = this.#context.lanes[this.priority];
    const permit = await this.#urgency.waitCalmly((signal) => lane.acquire({ signal }), this.#signal);
    try {
      await work();
    } finally {
      permit?.release();
    }
  }

  async #receiveAll(): Promise<void> {
    const { board, pool } = this.#context;
    // Threads take a moment to start; the first bytes take another.
    pool.startAll();
    this.#flow = board.begin(this);
    const startMs = this.#context.clock.nowMs();
    try {
      while (this.#jobs.at < this.#jobs.end) {
        const before = this.#jobs.at;
        try {
          await this.#receive();
        } catch (error) {
          this.#signal.throwIfAborted();
          this.#attempt = this.#jobs.at > before ? 1 : this.#attempt + 1;
          await this.#pauseAfter(error);
        }
      }
      if (this.priority === "background" && !this.#stoodAside) {
        board.noteBackground(this.#received, this.#context.clock.nowMs() - startMs);
      }
    } finally {
      this.#flow.end();
    }
  }

  async #receive(): Promise<void> {
    const { fetched } = this.#options;
    const blob = await fetched.openBlob(this.#signal);
    const end = Math.min(this.#jobs.end, this.#jobs.at + this.#mostAtOnce());
    const stream = new RangeStream(blob, { offset: this.#jobs.at, end, signal: this.#signal });
    this.#countRequest();
    this.#stream = stream;
    this.#moved = { activeMs: this.#activeMs, received: this.#received };
    let run: { readonly startMs: number; readonly received: number } | undefined;
    try {
      while (this.#jobs.at < this.#jobs.end) {
        await this.#stepAside();
        const startMs = this.#context.clock.nowMs();
        this.#waitingSinceMs = startMs;
        const piece = await stream.next();
        this.#waitingSinceMs = undefined;
        const ms = this.#context.clock.nowMs() - startMs;
        if (this.#received === 0) this.#context.board.noteFirstByte(ms);
        this.#activeMs += ms;
        if (piece === undefined) return;
        this.#count(piece.length);
        run ??= { startMs: this.#context.clock.nowMs(), received: this.#received };
        await this.#jobs.take(piece);
      }
      if (run !== undefined && this.isUrgent) this.#noteRun(run);
      // To the natural end: a connection that is left early cannot be used again.
      if (this.#jobs.end === end) await stream.next().catch(() => undefined);
    } finally {
      this.#stream = undefined;
      this.#waitingSinceMs = undefined;
      await stream.close();
    }
  }

  #noteRun({ startMs, received }: { readonly startMs: number; readonly received: number }): void {
    this.#context.board.noteRun(this.#received - received, this.#context.clock.nowMs() - startMs);
  }

  /** On a slow link the background asks for parts even of one member: what was asked for is in the way of reads. */
  #mostAtOnce(): number {
    const { board, tuning } = this.#context;
    if (this.priority !== "background" || this.#urgency.isRaised) return Infinity;
    const allowance = this.#context.backgroundAllowance() ?? tuning.minRangeSize;
    return Math.max(LEAST_AT_ONCE, Math.floor(allowance / Math.max(1, board.backgroundTransfers)));
  }

  /** The background reads on only when no read waits, or its share of time has come. */
  async #stepAside(): Promise<void> {
    const { gate } = this.#context;
    if (this.priority !== "background" || this.#urgency.isRaised || gate.waiting === 0) return;
    this.#stoodAside = true;
    await gate.pause({ signal: this.#signal, raised: this.#urgency.raised });
  }

  async #lease(size: number): Promise<BufferLease> {
    const { demand, bulk } = this.#context.budgets;
    if (this.isUrgent) return await demand.acquire(size, { signal: this.#signal });
    const priority = RANKS[this.priority];
    const lease = await this.#urgency.waitCalmly(
      (signal) => bulk.acquire(size, { signal, priority }),
      this.#signal,
    );
    return lease ?? (await demand.acquire(size, { signal: this.#signal }));
  }

  /** Waits until another try makes sense, or throws what ended the transfer. */
  async #pauseAfter(error: unknown): Promise<void> {
    const { context, fetched } = { context: this.#context, fetched: this.#options.fetched };
    const waited = this.#waitedFor();
    const { again, delayMs } = judgeTransferFailure(error, {
      attempt: this.#attempt,
      attempts: waited ? Infinity : this.#attemptsUnwaited(),
      random: context.random,
    });
    fetched.forgetBlob();
    context.emit({
      kind: "fetch-failed",
      layer: fetched.layer.digest,
      code: isEsgzError(error) ? error.code : "UNKNOWN",
      message: messageOf(error),
      willRetry: again,
    });
    if (!again) throw error;
    context.counters.retries += 1;
    await this.#sleep(delayMs);
  }

  async #sleep(ms: number): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    const done = new AbortController();
    const signal = AbortSignal.any([this.#signal, done.signal]);
    try {
      await Promise.race([this.#context.clock.sleep(ms, { signal }), woken.promise]);
    } finally {
      this.#wake = undefined;
      done.abort();
    }
  }

  #waitedFor(): boolean {
    return this.#options.flights.some(({ demandWaiters, isSettled }) => demandWaiters > 0 && !isSettled);
  }

  /** What nobody waits for is tried again only where somebody asked for it by name. */
  #attemptsUnwaited(): number {
    return this.priority === "readahead" || this.priority === "demand"
      ? 1
      : this.#context.tuning.bulkAttempts;
  }

  #countRequest(): void {
    this.#context.counters.requests += 1;
    if (this.#options.account !== undefined) this.#options.account.requests += 1;
  }

  #count(bytes: number): void {
    const { fetched, account } = this.#options;
    this.#received += bytes;
    this.#context.counters.fetchedBytes += bytes;
    this.#context.board.link.note(bytes);
    fetched.fetchedBytes += bytes;
    if (account !== undefined) account.fetchedBytes += bytes;
    if (this.#flow !== undefined) this.#flow.received += bytes;
  }
}
