/**
 * Gives memory back to the system after work.
 *
 * @module
 */
import { createRequire } from "node:module";
import { collectGarbage } from "../workers/index.ts";

/** After the work, and once more when the threads have ended that it needed. */
const QUIET_MS = [3000, 15_000] as const;

/** Trims the memory of this process when nothing has gone on for a while. */
export class MemoryTrim implements Disposable {
  readonly #isBusy: () => boolean;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(isBusy: () => boolean) {
    this.#isBusy = isBusy;
    this.touch();
  }

  /** Something goes on, or has ended. */
  touch(): void {
    this.#wait(0);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #wait(stage: number): void {
    clearTimeout(this.#timer);
    const quietMs = QUIET_MS[stage];
    if (this.#isOver || quietMs === undefined) return;
    this.#timer = setTimeout(() => this.#look(stage), quietMs);
    this.#timer.unref();
  }

  #look(stage: number): void {
    if (this.#isBusy()) {
      this.touch();
      return;
    }
    trimMemory();
    this.#wait(stage + 1);
  }
}

/** Collects all garbage, then has the allocator give free pages back: neither does so by itself in a process that is idle. */
export function trimMemory(): void {
  collectGarbage("thorough");
  trimAllocator();
}

/** `malloc_trim(3)`, which only glibc has. */
function trimAllocator(): void {
  try {
    const koffi = createRequire(import.meta.url)("koffi") as typeof import("koffi");
    koffi.load(null).func("int malloc_trim(size_t pad)")(0);
  } catch {
    // Another C library.
  }
}
