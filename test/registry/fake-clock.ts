/**
 * A clock that only moves when somebody sleeps.
 *
 * @module
 */
import type { Clock } from "../../src/async/index.ts";

/** Sleeps take no time; they are written down. */
export class FakeClock implements Clock {
  /** Pauses in milliseconds, in order. */
  readonly sleeps: number[] = [];
  now = 1_000_000;

  nowMs(): number {
    return this.now;
  }

  /** 2026-11-21T12:00:00Z at the start. */
  wallMs(): number {
    return Date.UTC(2026, 10, 21, 12) + this.now - 1_000_000;
  }

  async sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    signal?.throwIfAborted();
    this.sleeps.push(ms);
    this.now += ms;
  }
}
