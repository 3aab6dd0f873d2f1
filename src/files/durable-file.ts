/**
 * Files and directories that are there completely or not at all, also after a crash.
 *
 * A file is durable when its bytes are synced, and findable after a power loss when the directory with its name is synced, too.
 *
 * @module
 */
import { open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type DirectoryOptions, makeDirectories } from "./make-directories.ts";

/** How a file is written. */
export interface WriteFileOptions {
  /** Whether to wait until the disk has it; default true. Without, a power loss may leave anything. */
  readonly durable?: boolean | undefined;
  /** Permissions, less the process's umask; default 0o644. */
  readonly mode?: number | undefined;
}

/** Writes a new file; its name is durable when the caller has synced the directory. @throws what the system refuses; EEXIST */
export async function writeNewFile(
  path: string,
  bytes: Uint8Array | string,
  options: WriteFileOptions = {},
): Promise<void> {
  const { durable = true, mode = 0o644 } = options;
  const handle = await open(path, "wx", mode);
  try {
    await handle.writeFile(bytes);
    if (durable) await handle.sync();
  } finally {
    await handle.close();
  }
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
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
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
  const first = await makeDirectories(path, options);
  if (first === undefined) return;
  for (let at = path; ; at = dirname(at)) {
    await syncPath(dirname(at));
    if (at === first || at === dirname(at)) return;
  }
}
