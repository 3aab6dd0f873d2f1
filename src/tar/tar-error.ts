/**
 * The two ways in which a tar is refused.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** An error for bytes that break the tar format. */
export function invalidTar(what: string, offset: number, mismatch: string): EsgzError {
  return new EsgzError("TAR_INVALID", `Cannot read ${what} at tar offset ${offset}: ${mismatch}`, {
    details: { offset },
  });
}

/** Refuses an amount above its limit. @throws LIMIT_EXCEEDED */
export function checkLimit(amount: number, options: { limit: number; what: string; offset: number }): void {
  const { limit, what, offset } = options;
  if (amount <= limit) return;
  const mismatch = `expected at most ${limit}, got ${amount}`;
  throw new EsgzError("LIMIT_EXCEEDED", `Cannot read ${what} at tar offset ${offset}: ${mismatch}`, {
    details: { offset, limit, amount },
  });
}
