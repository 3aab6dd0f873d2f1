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

type Collect = (options: (typeof COLLECTIONS)[Collection]) => void;

/**
 * Collects garbage of this thread, and gives the memory back to the allocator. Takes a millisecond for what is young, some ten
 * for all.
 */
export function collectGarbage(collection: Collection): void {
  (exposedCollect() ?? borrowedCollect())?.(COLLECTIONS[collection]);
}

/** The function of a process that was started with `--expose-gc`. */
function exposedCollect(): Collect | undefined {
  return (globalThis as { readonly gc?: Collect }).gc;
}

/** A function of a context that is made for it, and whose end has the engine collect everything some seconds later. */
function borrowedCollect(): Collect | undefined {
  setFlagsFromString("--expose-gc");
  // Flags are the whole process's: another thread may have taken the function away again.
  const collect = runInNewContext("globalThis.gc") as Collect | undefined;
  setFlagsFromString("--no-expose-gc");
  return collect;
}
