/**
 * Directories that a user names.
 *
 * @module
 */
import { resolve } from "node:path";
import { EsgzError, ioCodeOf, messageOf, systemCodeOf } from "../errors/index.ts";
import * as files from "../files/index.ts";

/**
 * Creates a directory and those above it, where they are missing.
 *
 * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
 */
export async function makeDirectories(path: string): Promise<void> {
  try {
    await files.makeDirectories(resolve(path));
  } catch (cause) {
    const found = systemCodeOf(cause) ?? messageOf(cause);
    const message = `Cannot create directory "${path}": expected a place where directories can be made, got ${found}`;
    throw new EsgzError(ioCodeOf(cause), message, { cause });
  }
}
