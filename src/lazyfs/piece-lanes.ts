/**
 * Large ranges, brought over as many connections as the link has room for.
 *
 * One connection may be slow where several are not; and where the link is slow, each one more is in the way of whoever waits.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { ByteRange } from "../blob/index.ts";

/** How large ranges travel. */
export interface PieceLanesOptions {
  readonly clock: Pick<Clock, "nowMs">;
  /** Where the link is slow, no range is begun, or gone on with, that would make it more bytes in all; default no bound. */
  readonly mostWhenSlow?: number | undefined;
  /** How many pieces travel at once at first; default 1. */
  readonly lanes?: number | undefined;
}

/** Brings a piece: resolves when it is there. */
export type BringPiece = (piece: ByteRange) => Promise<unknown>;

interface Job {
  readonly bring: BringPiece;
  /** Where the next piece begins. */
  next: number;
  readonly end: number;
  /** Pieces under way. */
  pending: number;
  readonly done: PromiseWithResolvers<void>;
  failure?: { readonly error: unknown };
}

/** Of a range: more than this is brought in several requests. */
export const PIECE: number = 8 << 20;
const MOST_LANES = 8;
/** A piece takes longer where the link is slow. */
const FAST_MS = 500;

/**
 * Brings ranges piece by piece, the first that was asked for before the next: few at first, and one more at once with each that came
 * fast; one at a time again after one that did not.
 */
export class PieceLanes {
  readonly #clock: Pick<Clock, "nowMs">;
  readonly #mostWhenSlow: number;
  readonly #jobs: Job[] = [];
  #lanes = 0;
  #mostLanes: number;
  #isSlow = false;
  #asked = 0;

  constructor({ clock, mostWhenSlow = Infinity, lanes = 1 }: PieceLanesOptions) {
    this.#clock = clock;
    this.#mostLanes = lanes;
    this.#mostWhenSlow = mostWhenSlow;
  }

  /**
   * Resolves when the range is there, or what will be brought of it.
   *
   * @throws what `bring` throws, when all that was begun of the range has ended
   */
  async bring({ offset, size }: ByteRange, bring: BringPiece): Promise<void> {
    if (size === 0) return;
    const done = Promise.withResolvers<void>();
    this.#jobs.push({ bring, next: offset, end: offset + size, pending: 0, done });
    this.#openLanes();
    await done.promise;
  }

  #openLanes(): void {
    while (this.#lanes < this.#mostLanes && this.#nextJob() !== undefined) {
      this.#lanes += 1;
      void this.#runLane();
    }
  }

  async #runLane(): Promise<void> {
    while (this.#lanes <= this.#mostLanes) {
      const job = this.#nextJob();
      if (job === undefined) break;
      await this.#bringPiece(job);
      this.#openLanes();
    }
    this.#lanes -= 1;
  }

  /** The first range of which more is to be asked for. */
  #nextJob(): Job | undefined {
    for (const job of this.#jobs.filter((each) => !this.#hasMore(each))) this.#settle(job);
    return this.#jobs.find((job) => this.#hasMore(job));
  }

  #hasMore({ next, end, failure }: Job): boolean {
    const isTooMuch = this.#isSlow && this.#asked + end - next > this.#mostWhenSlow;
    return next < end && failure === undefined && !isTooMuch;
  }

  async #bringPiece(job: Job): Promise<void> {
    const piece = { offset: job.next, size: Math.min(PIECE, job.end - job.next) };
    job.next += piece.size;
    this.#asked += piece.size;
    job.pending += 1;
    const startMs = this.#clock.nowMs();
    try {
      await job.bring(piece);
      this.#isSlow = this.#clock.nowMs() - startMs > FAST_MS;
      this.#mostLanes = this.#isSlow ? 1 : Math.min(MOST_LANES, this.#mostLanes + 1);
    } catch (error) {
      job.failure ??= { error };
    }
    job.pending -= 1;
  }

  /** Tells that nothing more of a range is brought, when all that was begun has ended. */
  #settle(job: Job): void {
    if (job.pending > 0) return;
    this.#jobs.splice(this.#jobs.indexOf(job), 1);
    if (job.failure === undefined) job.done.resolve();
    else job.done.reject(job.failure.error);
  }
}
