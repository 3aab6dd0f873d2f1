/**
 * Files that options name.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/**
 * Reads the text file that an option names, `flag` with its dashes.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function readFlagFile(flag: string, path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    const found = systemCodeOf(cause) ?? messageOf(cause);
    throw new EsgzError(
      "USAGE_INVALID",
      `Cannot read ${flag} "${path}": expected a text file, got ${found}`,
      {
        cause,
      },
    );
  }
}
