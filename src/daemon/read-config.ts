/**
 * Reads configuration files.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import type { ParsedConfig } from "./parse-config.ts";

/** The most bytes of a configuration file. */
const MAX_CONFIG_BYTES = 1 << 20;

/**
 * Reads a file; undefined if there is none.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export async function readConfig(path: string): Promise<ParsedConfig | undefined> {
  const text = readText(path);
  if (text === undefined) return undefined;
  const { parseConfig } = await import("./parse-config.ts");
  return parseConfig(text, { path });
}

function readText(path: string): string | undefined {
  try {
    const bytes = readFileSync(path);
    if (bytes.length > MAX_CONFIG_BYTES) throw unusable(path, `${bytes.length} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (systemCodeOf(cause) === "ENOENT") return undefined;
    throw cause instanceof EsgzError ? cause : unusable(path, messageOf(cause), cause);
  }
}

function unusable(path: string, found: string, cause?: unknown): EsgzError {
  return new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot read configuration "${path}": expected a text of at most ${MAX_CONFIG_BYTES} bytes, got ${found}`,
    { cause },
  );
}
