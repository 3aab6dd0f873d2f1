/**
 * The configuration that a server runs with.
 *
 * @module
 */
import { homedir } from "node:os";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import { defaultConfigPath } from "./daemon-files.ts";
import type { DaemonSettings, ServerStart } from "./holder-messages.ts";
import type { ParsedConfig } from "./parse-config.ts";
import { readConfig } from "./read-config.ts";
import type { RegistryEnvironment } from "./registry-access.ts";

/** What a server has read. */
export interface ServerConfig extends ParsedConfig {
  /** Why the file could not be used, and the last good configuration is. */
  readonly problem?: EsgzError;
}

/** The process around, as registries need it. */
export function processEnvironment(): RegistryEnvironment {
  return { home: homeDirectory(), variables: process.env };
}

/**
 * Reads the configuration anew. A daemon that serves already goes on with what it had if the file cannot be used.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export async function loadServerConfig({ settings, lastConfig }: ServerStart): Promise<ServerConfig> {
  try {
    return await readSettings(settings);
  } catch (problem) {
    if (lastConfig === undefined || !isEsgzError(problem, "CONFIGURATION_INVALID")) throw problem;
    return { config: JSON.parse(lastConfig) as DaemonConfig, warnings: [], problem };
  }
}

/** What is configured for a daemon now. @throws {EsgzError} `CONFIGURATION_INVALID` */
export async function readSettings(settings: DaemonSettings): Promise<ParsedConfig> {
  const { configPath, configIsOptional } = settings;
  const path = configPath ?? defaultConfigPath({ ...processEnvironment(), uid: process.geteuid?.() ?? 0 });
  const parsed = await readConfig(path);
  if (parsed !== undefined) return overridden(parsed, settings);
  if (configPath !== undefined && configIsOptional !== true) throw missing(configPath);
  const { configFromFile } = await import("./config-from-file.ts");
  return overridden({ config: configFromFile({}), warnings: [] }, settings);
}

/** What was said on the command line wins. */
function overridden(parsed: ParsedConfig, { logLevel }: DaemonSettings): ParsedConfig {
  return logLevel === undefined ? parsed : { ...parsed, config: { ...parsed.config, logLevel } };
}

function missing(path: string): EsgzError {
  return new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot read configuration "${path}": expected a file, got none`,
  );
}

/** The root directory for a user of whom the system knows none. */
function homeDirectory(): string {
  try {
    return homedir() || "/";
  } catch {
    return "/";
  }
}
