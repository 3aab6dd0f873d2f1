/**
 * What was changed in writable mounts that are gone, until it is pruned: `S/kept/<mount id>`.
 *
 * @module
 */
import { lstat, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { removeTree } from "../files/index.ts";

const KEPT = "kept";
const DISK_SECTOR = 512;

/** The place for the changes of a mount, in a directory that exists then. */
export async function placeForChanges(store: string, mount: string): Promise<string> {
  await mkdir(keptIn(store), { mode: 0o700 }).catch(ignoreExisting);
  return join(keptIn(store), mount);
}

/** Bytes on the disk. */
export async function keptBytes(store: string): Promise<number> {
  return await diskBytesBelow(keptIn(store));
}

/** Removes all of it. Resolves with the bytes on the disk that it took. */
export async function removeKept(store: string): Promise<number> {
  const bytes = await keptBytes(store);
  await removeTree(keptIn(store));
  return bytes;
}

/** What lies below a directory takes; what vanishes meanwhile takes nothing. */
export async function diskBytesBelow(directory: string): Promise<number> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  let sum = 0;
  for (const entry of entries) {
    const path = join(directory, entry.name);
    sum += ((await lstat(path).catch(() => undefined))?.blocks ?? 0) * DISK_SECTOR;
    if (entry.isDirectory()) sum += await diskBytesBelow(path);
  }
  return sum;
}

function keptIn(store: string): string {
  return join(store, KEPT);
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}
