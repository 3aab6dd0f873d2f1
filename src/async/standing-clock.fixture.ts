/**
 * For tests: time that stands still until it is told otherwise.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** A clock that shows `now` for both kinds of time, in milliseconds. Sleeps end at once. */
export class StandingClock implements Clock {
  now: number;

  constructor(now = 1_700_000_000_000) {
    this.now = now;
  }

  nowMs(): number {
    return this.now;
  }

  wallMs(): number {
    return this.now;
  }

  sleep(): Promise<void> {
    return Promise.resolve();
  }
}
