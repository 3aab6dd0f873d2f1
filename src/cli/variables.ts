/**
 * Variables that a user gives to a container.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { readFlagFile } from "./read-flag-file.ts";

/** Where the variables of a container come from. */
export interface VariableFlags {
  /** `NAME=value`, or `NAME` for the value that it has here. */
  readonly env?: readonly string[];
  /** Files with such lines; `#` begins a comment. */
  readonly envFile?: readonly string[];
}

/**
 * The variables as `NAME=value`, files before flags, so that flags win. A name without a value that is not set here is left out.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function readVariables(
  flags: VariableFlags,
  own: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const lines = (flags.envFile ?? []).flatMap((path) => fileLines(readFlagFile("--env-file", path)));
  return [...lines, ...(flags.env ?? [])].flatMap((text) => variableOf(text, own));
}

function fileLines(text: string): readonly string[] {
  const lines = text.split(/\r?\n/).map((line) => line.trimStart());
  return lines.filter((line) => line !== "" && !line.startsWith("#"));
}

function variableOf(text: string, own: Readonly<Record<string, string | undefined>>): readonly string[] {
  const equals = text.indexOf("=");
  const name = equals < 0 ? text : text.slice(0, equals);
  if (name === "" || /\s/.test(name))
    throw new EsgzError("USAGE_INVALID", `Cannot use variable "${name}": expected NAME=value or NAME`);
  if (equals >= 0) return [text];
  const value = own[name];
  return value === undefined ? [] : [`${name}=${value}`];
}
