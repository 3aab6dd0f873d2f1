/**
 * Files and directories that are there completely or not at all, also after a crash.
 *
 * A file is durable when its bytes are synced, and findable after a power loss when the directory with its name is synced, too.
 *
 * @module
 */
import { closeSync, fsync, openSync, renameSync, rmSync, writeFile, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { type DirectoryOptions, isDirectorySync, makeDirectories } from "./make-directories.ts";

/** How a file is written. */
export interface WriteFileOptions {
  /** Whether to wait until the disk has it; default true. Without, a power loss may leave anything. */
  readonly durable?: boolean | undefined;
  /** Permissions, less the process's umask; default 0o644. */
  readonly mode?: number | undefined;
}

/** So much goes into the page cache in less time than another thread takes to begin with it, where all processors are busy. */
const AT_ONCE_BYTES = 4 << 20;

/**
 * Writes a new file, of one part or several; its name is durable when the caller has synced the directory.
 *
 * @throws what the system refuses; EEXIST
 */
export async function writeNewFile(
  path: string,
  bytes: Uint8Array | string | readonly Uint8Array[],
  options: WriteFileOptions = {},
): Promise<void> {
  const { durable = true, mode = 0o644 } = options;
  const fd = openSync(path, "wx", mode);
  try {
    for (const part of isPart(bytes) ? [bytes] : bytes) {
      if (part.length > AT_ONCE_BYTES) await promisify(writeFile)(fd, part);
      else writeFileSync(fd, part);
    }
    if (durable) await promisify(fsync)(fd);
  } finally {
    closeSync(fd);
  }
}

function isPart(bytes: Uint8Array | string | readonly Uint8Array[]): bytes is Uint8Array | string {
  return typeof bytes === "string" || bytes instanceof Uint8Array;
}

/**
 * Replaces a file, or makes it: whoever reads it, also after a crash, sees the old bytes or the new ones.
 *
 * @param options.temporary a name on the same filesystem that nobody has; nothing is left there.
 * @throws what the system refuses
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  options: WriteFileOptions & { readonly temporary: string },
): Promise<void> {
  const { temporary, durable = true } = options;
  try {
    await writeNewFile(temporary, bytes, options);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  if (durable) await syncPath(dirname(path));
}

/** Makes a file's bytes, or the names in a directory, durable. @throws what the system refuses */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a directory and those above it as {@linkcode makeDirectories}, and makes their names durable. */
export async function ensureDirectory(path: string, options: DirectoryOptions = {}): Promise<void> {
  if (isDirectorySync(path)) return;
  const first = await makeDirectories(path, options);
  if (first === undefined) return;
  for (let at = path; ; at = dirname(at)) {
    await syncPath(dirname(at));
    if (at === first || at === dirname(at)) return;
  }
}
