/**
 * The log levels of the programs that esgz takes the place of.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ServeStoreOptions } from "./serve-store.ts";

type LogLevel = NonNullable<ServeStoreOptions["logLevel"]>;

/** The names of levels there, and here. */
const LOG_LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "trace"],
  ["debug", "debug"],
  ["info", "info"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["fatal", "silent"],
  ["panic", "silent"],
]);

/** The level of a name. The default is left to the configuration, which may say `debug`. @throws {EsgzError} `USAGE_INVALID` */
export function logLevelSetting(name: string): { readonly logLevel?: LogLevel } {
  const logLevel = LOG_LEVELS.get(name.toLowerCase());
  if (logLevel === undefined)
    throw new EsgzError(
      "USAGE_INVALID",
      `Cannot use --log-level "${name}": expected info, debug, ..., got another word`,
    );
  return name === "info" ? {} : { logLevel };
}
