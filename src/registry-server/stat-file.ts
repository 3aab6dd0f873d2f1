/**
 * Files that may be gone.
 *
 * @module
 */
import { stat, unlink, utimes } from "node:fs/promises";
import { ifExists } from "../files/index.ts";

/** Size and time of change of a regular file, or undefined if there is none. */
export async function statFile(
  path: string,
): Promise<{ readonly size: number; readonly changedMs: number } | undefined> {
  const found = await ifExists(stat(path));
  return found?.isFile() === true ? { size: found.size, changedMs: Math.floor(found.mtimeMs) } : undefined;
}

/** Sets a file's time of change; false if there is none. */
export async function touchFile(path: string, timeMs: number): Promise<boolean> {
  return (await ifExists(utimes(path, timeMs / 1000, timeMs / 1000).then(() => true))) ?? false;
}

/** Deletes a file; false if there is none. */
export async function removeFile(path: string): Promise<boolean> {
  return (await ifExists(unlink(path).then(() => true))) ?? false;
}
