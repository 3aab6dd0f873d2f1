/**
 * When another try makes sense.
 *
 * @module
 */
import type { Clock, RetryPolicy, RetryVerdict } from "../async/index.ts";
import { type ErrorCode, isEsgzError } from "../errors/index.ts";

/** Six tries within a minute. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = {
  attempts: 6,
  firstDelayMs: 200,
  maxDelayMs: 10_000,
  deadlineMs: 60_000,
};

const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  "NETWORK_FAILED",
  "TIMED_OUT",
  "REGISTRY_UNAVAILABLE",
  "REGISTRY_RATE_LIMITED",
]);

/** Judges an error of this module: network failures, 408, 429 and 5xx pass with time; everything else stays. */
export function judgeFailure(error: unknown): RetryVerdict {
  if (!isEsgzError(error) || !TRANSIENT.has(error.code)) return { again: false };
  const { retryable, retryAfterMs } = error.details;
  return {
    again: retryable !== false,
    afterMs: typeof retryAfterMs === "number" ? retryAfterMs : undefined,
  };
}

/** What a {@link RetryBudget} works with. */
export interface RetryBudgetOptions {
  readonly policy: RetryPolicy;
  readonly clock: Clock;
  readonly random: () => number;
}

/** Bytes that must arrive to earn one more try in a transfer that breaks again and again. */
const BYTES_PER_EXTRA_TRY = 1 << 20;

/**
 * The tries of one long transfer. Progress starts the deadline and the backoff anew, but a server that sends a few
 * bytes each time is not asked for ever: tries are earned by bytes.
 */
export class RetryBudget {
  readonly #options: RetryBudgetOptions;
  #triesLeft: number;
  #inARow = 0;
  #sinceMs: number;
  #earned = 0;

  constructor(options: RetryBudgetOptions) {
    this.#options = options;
    this.#triesLeft = options.policy.attempts - 1;
    this.#sinceMs = options.clock.nowMs();
  }

  /** Notes bytes that arrived. */
  progress(bytes: number): void {
    this.#earned += bytes;
    while (this.#earned >= BYTES_PER_EXTRA_TRY) {
      this.#earned -= BYTES_PER_EXTRA_TRY;
      this.#triesLeft += 1;
    }
    this.#inARow = 0;
    this.#sinceMs = this.#options.clock.nowMs();
  }

  /** Waits before the next try, or throws `error` if there should be none. */
  async pauseAfter(error: unknown, signal: AbortSignal | undefined): Promise<void> {
    const { clock, policy } = this.#options;
    const verdict = judgeFailure(error);
    const delayMs = verdict.afterMs ?? this.#backoffMs();
    const late = clock.nowMs() + delayMs - this.#sinceMs > policy.deadlineMs;
    if (!verdict.again || this.#triesLeft <= 0 || late) throw error;
    this.#triesLeft -= 1;
    this.#inARow += 1;
    await clock.sleep(delayMs, { signal });
  }

  /** Half of the doubled delay, plus a random share of the other half. */
  #backoffMs(): number {
    const { policy, random } = this.#options;
    const full = Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** this.#inARow);
    return full / 2 + (full / 2) * random();
  }
}
