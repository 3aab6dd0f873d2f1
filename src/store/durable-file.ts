/**
 * Files and directories that are there completely or not at all, also after a crash.
 *
 * @module
 */
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { systemCodeOf } from "../errors/index.ts";
import { storeInvalid } from "./store-error.ts";

/** Whether to wait until the disk has it. */
export interface DurabilityOptions {
  readonly durable: boolean;
}

/** Writes a new file. */
export async function writeNewFile(
  path: string,
  bytes: Uint8Array,
  options: DurabilityOptions,
): Promise<void> {
  const handle = await open(path, "wx", 0o644);
  try {
    await handle.writeFile(bytes);
    if (options.durable) await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces a file: whoever reads it, also after a crash, sees the old bytes or the new ones. Unless `durable` is false:
 * then a power loss may leave anything.
 */
export async function replaceFile(
  path: string,
  bytes: Uint8Array,
  options: { readonly temporary: string; readonly durable?: boolean | undefined },
): Promise<void> {
  const durable = options.durable ?? true;
  try {
    await writeNewFile(options.temporary, bytes, { durable });
    await rename(options.temporary, path);
  } catch (error) {
    await rm(options.temporary, { force: true });
    throw error;
  }
  if (durable) await syncPath(dirname(path));
}

/** Makes a file's bytes, or the names in a directory, durable. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates a directory and those above it, for their owner alone, and makes their names durable. */
export async function ensureDirectory(path: string): Promise<void> {
  const first = await makeDirectories(path);
  if (first === undefined) return;
  for (let at = path; ; at = dirname(at)) {
    await syncPath(dirname(at));
    if (at === first || at === dirname(at)) return;
  }
}

/**
 * Creates a directory and those above it, and gives the topmost new one. Node's own recursion never ends where the
 * kernel has no such entry although the directory above is there, as below /proc.
 */
async function makeDirectories(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, 0o700);
    return path;
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST" && (await stat(path)).isDirectory()) return undefined;
    if (code !== "ENOENT" || dirname(path) === path) throw error;
  }
  const first = await makeDirectories(dirname(path));
  await mkdir(path, 0o700).catch(tolerateExisting);
  return first ?? path;
}

/** Somebody else may have been faster. */
function tolerateExisting(cause: unknown): void {
  const code = systemCodeOf(cause);
  if (code === "EEXIST") return;
  throw code === "ENOENT" ? new Error("expected a place where directories can be made", { cause }) : cause;
}

/**
 * Reads a whole file, or undefined if there is none.
 *
 * @throws {EsgzError} `STORE_INVALID` if it is no regular file or has more than `limit` bytes.
 */
export async function readBoundedFile(
  path: string,
  options: { readonly limit: number },
): Promise<Uint8Array | undefined> {
  const found = await ifExists(stat(path));
  if (found === undefined) return undefined;
  if (!found.isFile())
    throw storeInvalid(`"${path}"`, { expected: "a regular file", found: "something else" });
  if (found.size > options.limit) {
    throw storeInvalid(`"${path}"`, {
      expected: `at most ${options.limit} bytes`,
      found: String(found.size),
    });
  }
  return await ifExists(readFile(path));
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
