/**
 * Collecting garbage when there is nothing else to do: a thread that is idle does not do so by itself.
 *
 * @module
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/**
 * Collects all garbage of this thread, and gives the memory back to the allocator. Takes some ten milliseconds.
 *
 * @param options.thorough also what only serves speed, such as compiled code, which is made again when it is needed: the next
 * work takes half as long again.
 */
export function collectGarbage({ thorough }: { readonly thorough: boolean }): void {
  setFlagsFromString("--expose-gc");
  // Flags are the whole process's: another thread may have taken the function away again.
  const collect = runInNewContext("globalThis.gc") as ((options: object) => void) | undefined;
  setFlagsFromString("--no-expose-gc");
  collect?.({ type: "major", execution: "sync", flavor: thorough ? "last-resort" : "regular" });
}
