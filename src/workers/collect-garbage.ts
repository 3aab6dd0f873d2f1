/**
 * Collecting garbage when there is nothing else to do: a thread that is idle does not do so by itself.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * How much is collected.
 *
 * - `young`: what was made last and is not used any more: nearly all that short jobs leave behind.
 * - `whole`: all that is not used. Compiled code that knows objects of a class of which there are none now goes with them, and
 *   is compiled again when there are some.
 * - `thorough`: also what only serves speed, such as all compiled code.
 */
export type Collection = "young" | "whole" | "thorough";

const COLLECTIONS = {
  young: { type: "minor", execution: "sync" },
  whole: { type: "major", execution: "sync", flavor: "regular" },
  thorough: { type: "major", execution: "sync", flavor: "last-resort" },
} as const;

/**
 * Collects garbage of this thread, and gives the memory back to the allocator. Takes a millisecond for what is young, some ten
 * for all.
 */
export function collectGarbage(collection: Collection): void {
  // A process that was started with `--expose-gc` has a function of its own.
  const collect = globalThis.gc ?? borrowedCollect();
  collect?.(COLLECTIONS[collection]);
}

/** A function of a context that is made for it, and whose end has the engine collect everything some seconds later. */
function borrowedCollect(): NodeJS.GCFunction | undefined {
  setFlagsFromString("--expose-gc");
  // Flags are the whole process's: another thread may have taken the function away again.
  const collect = runInNewContext("globalThis.gc") as NodeJS.GCFunction | undefined;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
