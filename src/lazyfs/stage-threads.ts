/**
 * The threads that stage layers.
 *
 * @module
 */
import { programBeside, WorkerPool } from "../workers/index.ts";
import type { StageAnswer, StageJob } from "./stage-protocol.ts";

/** A thread that stages one layer at a time. */
export type StageThread = WorkerPool<undefined, StageJob, StageAnswer>;

/**
 * Threads that stage one layer after the other: to start one takes longer than a small layer does. There are as many as layers
 * were staged at once. Disposing ends those that have nothing to do; a layer that is being staged then ends its own.
 */
export class StageThreads implements AsyncDisposable {
  readonly #free: StageThread[] = [];
  #closed = false;

  /**
   * Has a thread do something from a layer's begin to its end. One that failed at it has nobody knows what of that layer, and
   * is ended.
   *
   * @throws what `work` throws
   */
  async use<Result>(work: (thread: StageThread) => Promise<Result>): Promise<Result> {
    const thread = this.#free.pop() ?? startThread();
    let isClean = false;
    try {
      const result = await work(thread);
      isClean = !this.#closed;
      return result;
    } finally {
      if (isClean) this.#free.push(thread);
      else await thread[Symbol.asyncDispose]();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#free.splice(0).map((thread) => thread[Symbol.asyncDispose]()));
  }
}

function startThread(): StageThread {
  const program = programBeside(import.meta.url, "./stage-worker");
  return new WorkerPool({ program, start: undefined, threads: 1, name: "esgz-stage" });
}
