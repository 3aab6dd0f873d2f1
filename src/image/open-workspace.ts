/**
 * Directories for what is unfinished, beside or inside the place where it will lie.
 *
 * | part of the name | meaning                                      |
 * | ---------------- | -------------------------------------------- |
 * | prefix           | whose they are                               |
 * | digits, `-`      | the process that made it                     |
 * | six characters   | at random                                    |
 *
 * @module
 */
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isProcessAlive } from "../files/index.ts";

const SUFFIX = /^(\d+)-[A-Za-z0-9]{6}$/;
/** A process that is not seen from here may run in another container; it is taken for dead only after this silence. */
const SILENCE_MS = 10 * 60 * 1000;

/**
 * Makes a new directory for unfinished work in `parent`, and removes those that dead processes left there under the same
 * prefix. The caller removes the new one.
 *
 * @throws the system's errors for the new directory; what cannot be swept stays.
 */
export async function openWorkspace(parent: string, prefix: string): Promise<string> {
  const workspace = await mkdtemp(join(parent, `${prefix}${process.pid}-`));
  // The filesystem's own clock tells what is old on it.
  const { mtimeMs } = await stat(workspace);
  for (const name of await readdir(parent)) {
    const suffix = name.startsWith(prefix) ? SUFFIX.exec(name.slice(prefix.length)) : null;
    if (suffix === null || isProcessAlive(Number(suffix[1]))) continue;
    await sweep(join(parent, name), mtimeMs - SILENCE_MS).catch(() => undefined);
  }
  return workspace;
}

/** Removes a directory if nothing in it has changed since `limitMs`. */
async function sweep(directory: string, limitMs: number): Promise<void> {
  const names = await readdir(directory, { recursive: true });
  for (const path of [directory, ...names.map((name) => join(directory, name))]) {
    if ((await stat(path)).mtimeMs > limitMs) return;
  }
  await rm(directory, { recursive: true });
}
