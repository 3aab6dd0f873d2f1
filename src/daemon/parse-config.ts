/**
 * From the text of a configuration file to a configuration.
 *
 * @module
 */
import { parse, TomlError, type TomlTable } from "smol-toml";
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import { configFromFile } from "./config-from-file.ts";
import { ConfigSchema } from "./config-schema.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import { locateKey, type TextPosition } from "./toml-position.ts";

/** A configuration, and what is strange about its file. */
export interface ParsedConfig {
  readonly config: DaemonConfig;
  /** One sentence for each key that is not known. */
  readonly warnings: readonly string[];
}

/** The configuration where there is no file. */
export const DEFAULT_CONFIG: DaemonConfig = configFromFile({});

/**
 * Parses a configuration file. Keys that are not known are warned of and left out.
 *
 * @param options.path the file's path, for messages.
 * @throws {EsgzError} `CONFIGURATION_INVALID` with `line` and `column` in the details.
 */
export function parseConfig(text: string, options: { readonly path: string }): ParsedConfig {
  const table = parseTable(text, options.path);
  const warnings: string[] = [];
  for (;;) {
    const parsed = v.safeParse(ConfigSchema, table);
    if (parsed.success) return { config: configFromFile(parsed.output), warnings };
    const unknown = parsed.issues.filter((issue) => isUnknownKey(issue));
    const wrong = parsed.issues.find((issue) => !isUnknownKey(issue));
    if (unknown.length === 0 && wrong !== undefined) throw wrongValue(text, { ...options, issue: wrong });
    for (const issue of unknown) {
      const keys = keysOf(issue);
      const { line } = locateKey(text, keys);
      warnings.push(`${options.path}:${line}: unknown key "${keys.join(".")}" is ignored`);
      removeKey(table, keys);
    }
  }
}

type Issue = v.BaseIssue<unknown>;

function parseTable(text: string, path: string): TomlTable {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const found = error.message.split("\n")[0]?.replace(/^Invalid TOML document: /, "") ?? "another text";
    throw invalid(
      path,
      { line: error.line, column: error.column },
      `expected TOML, got an error: ${found}`,
      error,
    );
  }
}

function wrongValue(
  text: string,
  { path, issue }: { readonly path: string; readonly issue: Issue },
): EsgzError {
  const keys = keysOf(issue);
  const { received } = issue;
  return invalid(path, locateKey(text, keys), `${issue.message} for "${keys.join(".")}", got ${received}`);
}

function invalid(path: string, position: TextPosition, problem: string, cause?: unknown): EsgzError {
  const { line, column } = position;
  return new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot use configuration "${path}:${line}:${column}": ${problem}`,
    {
      cause,
      details: { path, line, column, reason: messageOf(problem) },
    },
  );
}

/** A key that a strict object does not know has an issue of that object, with the key as its last step. */
function isUnknownKey(issue: Issue): boolean {
  return issue.type === "strict_object" && issue.expected === "never";
}

function keysOf(issue: Issue): readonly string[] {
  return (issue.path ?? []).map(({ key }) => String(key));
}

function removeKey(table: TomlTable, keys: readonly string[]): void {
  let place: unknown = table;
  for (const key of keys.slice(0, -1)) place = (place as Record<string, unknown>)[key];
  const last = keys.at(-1);
  if (last !== undefined) delete (place as Record<string, unknown>)[last];
}
