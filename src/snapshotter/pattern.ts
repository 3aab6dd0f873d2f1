/**
 * Regular expressions of clients, which are written for Go.
 *
 * Go's never take long; these could, so their time is bounded.
 *
 * @module
 */
import { createContext, Script } from "node:vm";
import { EsgzError } from "../errors/index.ts";

const MAX_PATTERN_LENGTH = 4096;
const LEADING_FLAGS = /^\(\?([is]+)\)/;

/** A Go expression as one of JavaScript; undefined if it is none, or too long. */
export function parsePattern(source: string): RegExp | undefined {
  if (source.length > MAX_PATTERN_LENGTH) return undefined;
  const flags = LEADING_FLAGS.exec(source);
  const body = source
    .slice(flags?.[0].length ?? 0)
    .replaceAll("(?P<", "(?<")
    .replaceAll(/\\(.)/gs, escapeFrom);
  try {
    return new RegExp(body, `${flags?.[1] ?? ""}u`);
  } catch {
    return undefined;
  }
}

/** A backslash makes any punctuation mean itself there, here only what means something else. */
function escapeFrom(whole: string, character: string): string {
  if (character === "A") return "^";
  if (character === "z") return "$";
  if (!/[!-/:-@[-`{-~]/.test(character) || /[$^\\.*+?()[\]{}|/]/.test(character)) return whole;
  return `\\x${character.charCodeAt(0).toString(16)}`;
}

const test = new Script("pattern.test(text)");
const context = createContext(Object.create(null));

/**
 * Whether a Go expression matches somewhere in a text.
 *
 * @param options.deadlineMs until when, by `performance.now()`, there may be no answer
 * @throws {EsgzError} `REQUEST_INVALID` if it is none; `LIMIT_EXCEEDED` if it takes too long.
 */
export function matchesPattern(
  source: string,
  text: string,
  { deadlineMs }: { readonly deadlineMs: number },
): boolean {
  const pattern = parsePattern(source);
  if (pattern === undefined) {
    const shown = JSON.stringify(source.slice(0, 200));
    throw new EsgzError("REQUEST_INVALID", `Cannot use pattern ${shown}: expected a regular expression`);
  }
  try {
    Object.assign(context, { pattern, text });
    const timeout = Math.max(1, Math.ceil(deadlineMs - performance.now()));
    return test.runInContext(context, { timeout }) === true;
  } catch (cause) {
    const shown = JSON.stringify(source.slice(0, 200));
    const message = `Cannot use pattern ${shown}: expected an answer in time, got none`;
    throw new EsgzError("LIMIT_EXCEEDED", message, { cause });
  }
}
