/**
 * The server's log: lines of JSON on standard error, with the fields of pino.
 *
 * @module
 */
import { type Logger, pino } from "pino";
import type { LogLevel } from "./daemon-config.ts";

/** Where the server says what happens. */
export type ServerLog = Logger;

const STDERR = 2;

/** A log that writes at once: what a dying server had to say is there. */
export function createServerLog(level: LogLevel): ServerLog {
  const destination = pino.destination({ fd: STDERR, sync: true });
  // A reader that is gone must not end the server.
  destination.on("error", () => undefined);
  return pino({ level, name: "esgz" }, destination);
}
