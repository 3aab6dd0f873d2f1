/**
 * Directories for one run, below TMPDIR, and what has to be ended before they go.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory, and what is to be ended, the last first. */
export interface Scratch {
  readonly directory: string;
  /** Has something done at the end of the run, whatever comes of it. */
  defer(task: () => Promise<void> | void): void;
}

/** Gives the work a directory of its own, which goes when it is done. */
export async function withScratch<T>(work: (scratch: Scratch) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "esgz-bench-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => {
    // What is still mounted is not ours to remove: rm would go through it.
    if (!readFileSync("/proc/self/mounts", "latin1").includes(` ${directory}/`))
      rmSync(directory, { recursive: true, force: true });
  });
  return await work({
    directory,
    defer: (task) => {
      stack.defer(task);
    },
  });
}

/** Empties the page cache. Needs root. */
export function dropCaches(): void {
  execFileSync("sync");
  writeFileSync("/proc/sys/vm/drop_caches", "3");
}
