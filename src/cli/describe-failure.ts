/**
 * Failures in words, for people and for programs.
 *
 * @module
 */
import { type ErrorCode, isEsgzError, messageOf } from "../errors/index.ts";
import { exitStatusOf } from "./exit-status.ts";
import { printable } from "./format.ts";

/** What helps, where the message cannot know it. */
const HINTS: Partial<Record<ErrorCode, string>> = {
  REGISTRY_UNAUTHORIZED:
    "credentials are those of `esgz login`, `docker login` or `podman login`, or of the file of --authfile",
};

/**
 * The lines that tell a person what went wrong.
 *
 * @param command what was asked for: who logs in has just told the credentials
 */
export function describeFailure(thrown: unknown, command?: string): string {
  const message = printable(messageOf(thrown));
  if (!isEsgzError(thrown)) return `esgz: ${message}`;
  const hint = command === "login" ? undefined : HINTS[thrown.code];
  return `esgz: ${message} (${thrown.code})${hint === undefined ? "" : `\nesgz: ${hint}`}`;
}

/** The same as one line of JSON: `{"error":{"code":...,"message":...,"status":...}}`, with the exit status. */
export function encodeFailure(thrown: unknown, status: number = exitStatusOf(thrown)): string {
  const code = isEsgzError(thrown) ? thrown.code : "INTERNAL";
  return JSON.stringify({ error: { code, message: messageOf(thrown), status } });
}
