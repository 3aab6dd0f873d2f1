/**
 * Directories with those above them.
 *
 * Not by `mkdir()` with `recursive`: where the kernel answers ENOENT although the directory above is there, as below `/proc`,
 * it tries for ever. What is made here is tried once more when everything above it is there, and no more.
 *
 * @module
 */
import { mkdirSync, statSync } from "node:fs";
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCodeOf } from "../errors/index.ts";

/** How directories are made. */
export interface DirectoryOptions {
  /** Permissions of each new directory, less the process's umask; default 0o777. */
  readonly mode?: number | undefined;
}

/**
 * Makes a directory and those above it, as far as they are missing; others may make the same at the same time.
 *
 * @returns the topmost one that is new, undefined if there was nothing to make.
 * @throws what the system refuses, EEXIST for what is no directory; an error without a `code` where the filesystem takes no
 * directories.
 */
export async function makeDirectories(
  path: string,
  options: DirectoryOptions = {},
): Promise<string | undefined> {
  const mode = options.mode ?? 0o777;
  try {
    await mkdir(path, mode);
    return path;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST" && (await isDirectory(path))) return undefined;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const first = await makeDirectories(dirname(path), { mode });
  await mkdir(path, mode).catch(explainSecond);
  return first ?? path;
}

/** {@linkcode makeDirectories} for callers that cannot wait. */
export function makeDirectoriesSync(path: string, options: DirectoryOptions = {}): string | undefined {
  const mode = options.mode ?? 0o777;
  try {
    mkdirSync(path, mode);
    return path;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST" && isDirectorySync(path)) return undefined;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const first = makeDirectoriesSync(dirname(path), { mode });
  try {
    mkdirSync(path, mode);
  } catch (error) {
    explainSecond(error);
  }
  return first ?? path;
}

/** What a failure means when the directory above is there. */
function explainSecond(cause: unknown): void {
  const code = systemCodeOf(cause);
  // Somebody else was faster.
  if (code === "EEXIST") return;
  throw code === "ENOENT" ? new Error("a filesystem that takes no directories", { cause }) : cause;
}

async function isDirectory(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** Whether there is a directory, or a link to one. @throws what the system refuses */
export function isDirectorySync(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
