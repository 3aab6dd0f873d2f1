/**
 * How fast a link is, and whether it is full, from what arrives. Arithmetic only.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";

const INTERVAL_MS = 250;
/** What was fast once may be slow now: each interval counts a little less than the next. */
const DECAY = 0.98;
/** A link that carries this part of what it can is full: others use it, too. */
const FULL = 0.5;

/** Adds up what all connections bring. */
export class LinkRate {
  readonly #clock: Clock;
  #startMs = -Infinity;
  #bytes = 0;
  #last = 0;
  #best: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Bytes per millisecond that the link was seen to carry; undefined before the first interval is over. */
  get bytesPerMs(): number | undefined {
    this.#turn();
    return this.#best;
  }

  /** Whether bytes arrive about as fast as they can: who gets none then waits for its turn. */
  get isFull(): boolean {
    this.#turn();
    return this.#best !== undefined && this.#last >= FULL * this.#best;
  }

  /** Notes bytes that arrived. */
  note(bytes: number): void {
    this.#turn();
    this.#bytes += bytes;
  }

  /** Ends an interval that is over. After a rest the next one begins; a rest tells nothing of the link. */
  #turn(): void {
    const nowMs = this.#clock.nowMs();
    const ms = nowMs - this.#startMs;
    if (ms < INTERVAL_MS) return;
    const isRest = ms >= 2 * INTERVAL_MS && this.#bytes === 0;
    this.#last = ms === Infinity || isRest ? 0 : this.#bytes / ms;
    if (this.#last > 0) this.#best = Math.max(this.#last, (this.#best ?? 0) * DECAY);
    this.#startMs = nowMs;
    this.#bytes = 0;
  }
}
