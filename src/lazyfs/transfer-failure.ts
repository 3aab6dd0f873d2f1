/**
 * When another try of a transfer makes sense.
 *
 * @module
 */
import { type ErrorCode, isEsgzError } from "../errors/index.ts";

/** Failures that time heals. All others may be healed by opening the blob anew: tokens and redirects expire. */
const TRANSIENT: ReadonlySet<ErrorCode> = new Set([
  "NETWORK_FAILED",
  "TIMED_OUT",
  "SIZE_MISMATCH",
  "REGISTRY_UNAVAILABLE",
  "REGISTRY_RATE_LIMITED",
  "REGISTRY_PROTOCOL",
]);
const DEFINITE_ATTEMPTS = 3;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 3000;

/** Judges the failure number `attempt` (from 1) in a row. */
export function judgeTransferFailure(
  error: unknown,
  options: { readonly attempt: number; readonly attempts: number; readonly random: () => number },
): { readonly again: boolean; readonly delayMs: number } {
  const { attempt, attempts, random } = options;
  const isTransient = !isEsgzError(error) || TRANSIENT.has(error.code);
  const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (attempt - 1));
  return {
    again: attempt < (isTransient ? attempts : Math.min(attempts, DEFINITE_ATTEMPTS)),
    delayMs: delay / 2 + (delay / 2) * random(),
  };
}
