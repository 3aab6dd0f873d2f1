/**
 * Files that are there completely or not at all, also after a crash.
 *
 * @module
 */
import { mkdir, open, rename, stat, unlink, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCodeOf } from "../errors/index.ts";

/** Writes a file under a temporary name, makes it durable, and gives it its name: atomically, replacing what was there. */
export async function writeDurableFile(
  path: string,
  bytes: Uint8Array,
  options: { readonly temporary: string },
): Promise<void> {
  const { temporary } = options;
  const handle = await open(temporary, "wx", 0o644);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await renameDurably(temporary, path);
}

/** Renames a file whose bytes are durable, creating the folder, and makes the new name durable. */
export async function renameDurably(from: string, to: string): Promise<void> {
  await ensureDirectory(dirname(to));
  await rename(from, to);
  await syncDirectory(dirname(to));
}

/** Creates a folder and those above it, and makes their names durable. */
export async function ensureDirectory(path: string): Promise<void> {
  const first = await makeDirectories(path);
  if (first === undefined) return;
  for (let at = path; ; at = dirname(at)) {
    await syncDirectory(dirname(at));
    if (at === first || at === dirname(at)) return;
  }
}

/**
 * Creates a folder and those above it, and gives the topmost new one. Node's own recursion never ends where the kernel
 * has no such entry although the folder above is there, as below /proc.
 */
async function makeDirectories(path: string): Promise<string | undefined> {
  try {
    await mkdir(path);
    return path;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return undefined;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const first = await makeDirectories(dirname(path));
  await mkdir(path).catch(tolerateExisting);
  return first ?? path;
}

/** Somebody else may have been faster. */
function tolerateExisting(cause: unknown): void {
  const code = systemCodeOf(cause);
  if (code === "EEXIST") return;
  throw code === "ENOENT" ? new Error("expected a place where directories can be made", { cause }) : cause;
}

/** Deletes a file; false if there is none. */
export async function removeFile(path: string): Promise<boolean> {
  return (await ifExists(unlink(path).then(() => true))) ?? false;
}

/** Sets a file's time of change; false if there is none. */
export async function touchFile(path: string, timeMs: number): Promise<boolean> {
  return (await ifExists(utimes(path, timeMs / 1000, timeMs / 1000).then(() => true))) ?? false;
}

/** Size and time of change of a regular file, or undefined if there is none. */
export async function statFile(
  path: string,
): Promise<{ readonly size: number; readonly changedMs: number } | undefined> {
  const found = await ifExists(stat(path));
  return found?.isFile() === true ? { size: found.size, changedMs: Math.floor(found.mtimeMs) } : undefined;
}

/** What the promise gives, or undefined if the file or its folder is not there. */
export async function ifExists<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
