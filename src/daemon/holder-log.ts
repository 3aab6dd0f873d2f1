/**
 * The lines of the holder: the same JSON as the server's log, without a library for it.
 *
 * @module
 */
import { writeSync } from "node:fs";

const LEVELS = { info: 30, warn: 40, error: 50 } as const;

/** Says something on stderr. A reader that is gone, or a full disk, must not end the holder. */
export function logHolder(
  level: keyof typeof LEVELS,
  message: string,
  fields: Readonly<Record<string, unknown>> = {},
): void {
  const line = {
    level: LEVELS[level],
    time: Date.now(),
    pid: process.pid,
    name: "esgz-holder",
    ...fields,
    msg: message,
  };
  try {
    writeSync(2, `${JSON.stringify(line)}\n`);
  } catch {
    // There is nobody to tell.
  }
}
