/**
 * Directories that a user names.
 *
 * @module
 */
import { mkdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/**
 * Creates a directory and those above it, where they are missing. Node's own recursion never ends where the kernel has
 * no such entry although the directory above is there, as below /proc.
 *
 * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
 */
export async function makeDirectories(path: string): Promise<void> {
  try {
    await makeAbsolute(resolve(path));
  } catch (cause) {
    const system = systemCodeOf(cause);
    const code = system === "ENOSPC" || system === "EDQUOT" ? "NO_SPACE" : "IO_FAILED";
    const found = system === "ENOENT" ? "a filesystem that takes none" : (system ?? messageOf(cause));
    const message = `Cannot create directory "${path}": expected a place where directories can be made, got ${found}`;
    throw new EsgzError(code, message, { cause });
  }
}

async function makeAbsolute(path: string): Promise<void> {
  try {
    await mkdir(path);
    return;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  await makeAbsolute(dirname(path));
  await mkdir(path).catch(ignoreExisting);
}

/** Somebody else was faster. */
function ignoreExisting(error: unknown): void {
  if (systemCodeOf(error) !== "EEXIST") throw error;
}
