/**
 * Lets the background step aside while reads wait, but not for ever.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";

/** Counts reads that wait. */
export class FetchGate {
  readonly #clock: Clock;
  readonly #yieldMs: number;
  #waiting = 0;
  #lastWaitMs = -Infinity;
  #idle: PromiseWithResolvers<void> | undefined;

  constructor(options: { readonly clock: Clock; readonly yieldMs: number }) {
    this.#clock = options.clock;
    this.#yieldMs = options.yieldMs;
  }

  /** Reads that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** For how long no read has waited, in milliseconds; 0 if one does now. */
  get idleMs(): number {
    return this.#waiting > 0 ? 0 : this.#clock.nowMs() - this.#lastWaitMs;
  }

  /** A read begins to wait. */
  enter(): void {
    this.#waiting += 1;
    this.#idle ??= Promise.withResolvers();
  }

  /** It waits no more. */
  leave(): void {
    this.#waiting -= 1;
    if (this.#waiting > 0) return;
    this.#lastWaitMs = this.#clock.nowMs();
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  /**
   * Resolves when no read has waited for `quietMs`, or after `mostMs` in any case. Rejects with the signal's reason.
   */
  async quiet(options: {
    readonly quietMs: number;
    readonly mostMs: number;
    readonly signal: AbortSignal;
  }): Promise<void> {
    const { quietMs, mostMs, signal } = options;
    const endMs = this.#clock.nowMs() + mostMs;
    for (;;) {
      signal.throwIfAborted();
      const leftMs = Math.min(quietMs - this.idleMs, endMs - this.#clock.nowMs());
      if (leftMs <= 0) return;
      await this.#clock.sleep(leftMs, { signal });
    }
  }

  /**
   * Resolves when no read waits, or after the time in which the background gets its share, or when `raised` does.
   * Rejects with the signal's reason.
   */
  async pause(options: { readonly signal: AbortSignal; readonly raised?: Promise<void> }): Promise<void> {
    options.signal.throwIfAborted();
    if (this.#idle === undefined) return;
    const done = new AbortController();
    const signal = AbortSignal.any([options.signal, done.signal]);
    try {
      await Promise.race([
        this.#idle.promise,
        this.#clock.sleep(this.#yieldMs, { signal }),
        ...(options.raised === undefined ? [] : [options.raised]),
      ]);
    } finally {
      done.abort();
    }
  }
}
