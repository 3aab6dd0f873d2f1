/**
 * Seconds per phase of a pull.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { PullSeconds } from "./pull-report.ts";

/** The phases, in their order. */
export type PullPhase = Exclude<keyof PullSeconds, "total">;

/** Adds up the time that is spent in each phase. */
export class PhaseClock {
  readonly #clock: Clock;
  readonly #startMs: number;
  readonly #spentMs: Record<PullPhase, number> = { resolve: 0, index: 0, plan: 0, transfer: 0, finish: 0 };
  #markMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startMs = clock.nowMs();
    this.#markMs = this.#startMs;
  }

  /** Books the time since the last call (or the start) on a phase. */
  end(phase: PullPhase): void {
    const nowMs = this.#clock.nowMs();
    this.#spentMs[phase] += nowMs - this.#markMs;
    this.#markMs = nowMs;
  }

  /** Seconds since the start. */
  get elapsed(): number {
    return (this.#clock.nowMs() - this.#startMs) / 1000;
  }

  /** All phases so far. */
  seconds(): PullSeconds {
    const { resolve, index, plan, transfer, finish } = this.#spentMs;
    return {
      resolve: resolve / 1000,
      index: index / 1000,
      plan: plan / 1000,
      transfer: transfer / 1000,
      finish: finish / 1000,
      total: this.elapsed,
    };
  }
}
