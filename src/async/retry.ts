/**
 * Trying again, with growing and jittered pauses, until a deadline.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** When and how long to try again. */
export interface RetryPolicy {
  /** The number of tries in all, the first included. */
  readonly attempts: number;
  /** The pause before the second try, in milliseconds; it doubles from try to try. */
  readonly firstDelayMs: number;
  /** No pause is longer, unless the failure itself asks for more. */
  readonly maxDelayMs: number;
  /** No new try starts later than this after the first one. */
  readonly deadlineMs: number;
}

/** What {@linkcode retry} needs to know about a failure. */
export interface RetryVerdict {
  /** Whether another try can help. */
  readonly again: boolean;
  /** A pause that the other side asked for (Retry-After), in milliseconds. */
  readonly afterMs?: number | undefined;
}

/** The context of {@linkcode retry}. */
export interface RetryOptions {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  /** A number in [0, 1), for jitter. */
  readonly random: () => number;
  /** Judges a failure. */
  readonly judge: (error: unknown) => RetryVerdict;
  readonly signal?: AbortSignal | undefined;
}

/** Runs `work` until it succeeds, or fails for good; then rejects with its last error. `attempt` counts from 0. */
export async function retry<T>(work: (attempt: number) => Promise<T>, options: RetryOptions): Promise<T> {
  const { policy, clock, signal } = options;
  const startMs = clock.nowMs();
  for (let attempt = 0; ; attempt += 1) {
    signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      signal?.throwIfAborted();
      const verdict = options.judge(error);
      const delayMs = verdict.afterMs ?? backoffMs(attempt, options);
      const late = clock.nowMs() + delayMs - startMs > policy.deadlineMs;
      if (!verdict.again || attempt + 1 >= policy.attempts || late) throw error;
      await clock.sleep(delayMs, { signal });
    }
  }
}

/** Half of the doubled delay, plus a random share of the other half. */
function backoffMs(attempt: number, { policy, random }: RetryOptions): number {
  const full = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** attempt);
  return full / 2 + (full / 2) * random();
}
