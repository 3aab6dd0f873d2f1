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
 * Reads a file, one of esgz or, told by its keys, one of containerd-stargz-grpc; undefined if there is none.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export async function readConfig(path: string): Promise<ParsedConfig | undefined> {
  const text = readText(path);
  if (text === undefined) return undefined;
  const [{ parseConfig }, { isReferenceConfig }] = await Promise.all([
    import("./parse-config.ts"),
    import("./config-kind.ts"),
  ]);
  if (!isReferenceConfig(text)) return parseConfig(text, { path });
  const { configFromReference } = await import("./config-from-reference.ts");
  return configFromReference(text, { path });
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
