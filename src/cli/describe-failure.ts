/**
 * Failures in words, for people and for programs.
 *
 * @module
 */
import { isEsgzError, messageOf } from "../errors/index.ts";
import { exitStatusOf } from "./exit-status.ts";
import { printable } from "./format.ts";

/** The line that tells a person what went wrong. */
export function describeFailure(thrown: unknown): string {
  const message = printable(messageOf(thrown));
  return isEsgzError(thrown) ? `esgz: ${message} (${thrown.code})` : `esgz: ${message}`;
}

/** The same as one line of JSON: `{"error":{"code":...,"message":...,"status":...}}`, with the exit status. */
export function encodeFailure(thrown: unknown, status: number = exitStatusOf(thrown)): string {
  const code = isEsgzError(thrown) ? thrown.code : "INTERNAL";
  return JSON.stringify({ error: { code, message: messageOf(thrown), status } });
}
