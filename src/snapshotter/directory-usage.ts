/**
 * What a directory takes on the disk.
 *
 * @module
 */
import type { Dirent, Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { ifExists } from "../files/index.ts";
import type { SnapshotUsage } from "./snapshot.ts";

/** `st_blocks` counts these, whatever the filesystem's own blocks are; stat(2). */
const BLOCK_BYTES = 512;
const PARALLEL_STATS = 16;

/**
 * Counts a directory with all that lies in it: files with several names once, what vanishes meanwhile not at all. Links are not
 * followed, other mounts are not entered.
 */
export async function readDirectoryUsage(
  directory: string,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<SnapshotUsage> {
  const top = await lstat(directory);
  const seen = new Set<number>();
  let size = 0;
  const count = (stats: Stats): boolean => {
    if (stats.dev !== top.dev || seen.has(stats.ino)) return false;
    seen.add(stats.ino);
    size += stats.blocks * BLOCK_BYTES;
    return stats.isDirectory();
  };
  count(top);
  const pending = [directory];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    options.signal?.throwIfAborted();
    for (const batch of batches(await entriesOf(at))) {
      const found = await Promise.all(batch.map(({ name }) => ifExists(lstat(join(at, name)))));
      for (const [index, stats] of found.entries()) {
        if (stats !== undefined && count(stats)) pending.push(join(at, batch[index]?.name ?? ""));
      }
    }
  }
  return { size, inodes: seen.size };
}

async function entriesOf(directory: string): Promise<Dirent[]> {
  return (await ifExists(readdir(directory, { withFileTypes: true }))) ?? [];
}

function* batches<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += PARALLEL_STATS) yield items.slice(at, at + PARALLEL_STATS);
}
