/**
 * For tests: time in which nobody goes on by himself.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** A clock whose sleeps end when a test says so, or with their signals; it shows 0. */
export class HeldClock implements Clock {
  /** Ends each sleep that was begun, oldest first. */
  readonly wakes: (() => void)[] = [];
  /** Sleeps that have not ended. */
  sleeping = 0;
  /** Sleeps that ended with their signals. */
  abandoned = 0;

  nowMs(): number {
    return 0;
  }

  wallMs(): number {
    return 0;
  }

  async sleep(_ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const slept = Promise.withResolvers<void>();
    this.wakes.push(slept.resolve);
    this.sleeping += 1;
    signal?.addEventListener("abort", () => {
      this.abandoned += 1;
      slept.reject(signal.reason);
    });
    await slept.promise.finally(() => (this.sleeping -= 1));
  }
}
