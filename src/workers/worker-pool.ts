/**
 * A bounded number of worker threads that do jobs.
 *
 * @module
 */
import { extname } from "node:path";
import type { Transferable } from "node:worker_threads";
import type { Clock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { type WaitingJob, WorkerThread } from "./worker-thread.ts";

/** What a pool is made of. */
export interface WorkerPoolOptions<Start> {
  /** The program of its threads, which calls `serveJobs()`; see {@linkcode programBeside}. */
  readonly program: URL;
  /** What each thread is started with; must be cloneable. */
  readonly start: Start;
  /** How many threads at most; at least 1. */
  readonly threads: number;
  /** The name of the threads, for debuggers. */
  readonly name: string;
  /** Jobs that a thread has at once; default 2: one to do and one to find when that is done. */
  readonly queueDepth?: number;
  /** Ends threads after so long without a job. Without it they stay. Not for threads with a state. */
  readonly idle?: {
    readonly afterMs: number;
    readonly clock: Clock;
    /** How many stay all the same, asked each time; default none. */
    readonly keep?: (() => number) | undefined;
    /** Called when the others have ended. */
    readonly onEnded?: () => void;
  };
  /**
   * The nursery of each thread, in MiB; default 8: what workers make is short-lived, and a small nursery keeps their
   * memory small without costing time.
   */
  readonly maxYoungGenerationSizeMb?: number;
}

/** How a job is posted. */
export interface JobOptions {
  /** Memory of the job that changes hands instead of being copied. */
  readonly transfer?: readonly Transferable[];
  /** Goes before all jobs that are not urgent and that no thread has yet; only for {@link WorkerPool.run}. */
  readonly urgent?: boolean;
}

/**
 * Threads that are started when there is work for them. A thread that dies fails the jobs that it has, and is replaced when
 * there are more. Disposing ends all of them at once, whatever they do.
 */
export class WorkerPool<Start, Job, Result> implements AsyncDisposable {
  /** How many threads there are at most. */
  readonly size: number;
  readonly #options: WorkerPoolOptions<Start>;
  readonly #threads: (WorkerThread | undefined)[];
  readonly #queue: WaitingJob[] = [];
  readonly #urgent: WaitingJob[] = [];
  #idle: AbortController | undefined;
  #closed = false;

  constructor(options: WorkerPoolOptions<Start>) {
    this.#options = options;
    this.size = Math.max(1, options.threads);
    this.#threads = Array.from({ length: this.size }, () => undefined);
  }

  /** Threads that live now. */
  get liveThreads(): number {
    return this.#threads.filter((thread) => thread !== undefined && !thread.ended).length;
  }

  /** Jobs that no thread has yet. */
  get queueLength(): number {
    return this.#queue.length + this.#urgent.length;
  }

  /** Starts all threads before there are jobs for them. */
  startAll(): void {
    for (let index = 0; index < this.size; index += 1) this.#threadAt(index);
    this.#watchIdle();
  }

  /**
   * Has the job done by whichever thread is free first.
   *
   * @throws {EsgzError} `INTERNAL` if the thread died; `ABORTED` after disposal; whatever the job throws.
   */
  run(job: Job, options: JobOptions = {}): Promise<Result> {
    return this.#wait(job, options, (waiting) => {
      (options.urgent === true ? this.#urgent : this.#queue).push(waiting);
      this.#dispatch();
    });
  }

  /** Has the job done by one thread; jobs for the same thread keep their order. Errors as {@link WorkerPool.run}. */
  runOn(index: number, job: Job, options: JobOptions = {}): Promise<Result> {
    return this.#wait(job, options, (waiting) => this.#threadAt(index % this.size).post(waiting));
  }

  /** Has the job done by every thread. Errors as {@link WorkerPool.run}. */
  async runOnAll(job: Job): Promise<Result[]> {
    return await Promise.all(this.#threads.map((_, index) => this.runOn(index, job)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#idle?.abort();
    const stopped = new EsgzError("ABORTED", "Cannot do job: the workers were stopped");
    for (const waiting of [...this.#urgent.splice(0), ...this.#queue.splice(0)]) waiting.reject(stopped);
    await this.#terminateFrom(0, stopped);
  }

  #wait(job: Job, options: JobOptions, post: (waiting: WaitingJob) => void): Promise<Result> {
    if (this.#closed) {
      return Promise.reject(new EsgzError("ABORTED", "Cannot do job: the workers were stopped"));
    }
    this.#idle?.abort();
    this.#idle = undefined;
    return new Promise((resolve, reject) => {
      const { transfer = [] } = options;
      post({ job, transfer, resolve: (result) => resolve(result as Result), reject });
    });
  }

  #dispatch(): void {
    for (;;) {
      if (this.queueLength === 0) break;
      const thread = this.#freeThread();
      if (thread === undefined) break;
      const next = this.#urgent.shift() ?? this.#queue.shift();
      if (next !== undefined) thread.post(next);
    }
    this.#watchIdle();
  }

  /** An idle thread, a new one, or the one with the fewest jobs; undefined when all have enough. */
  #freeThread(): WorkerThread | undefined {
    let best: WorkerThread | undefined;
    let unused: number | undefined;
    for (const [index, thread] of this.#threads.entries()) {
      if (thread === undefined || thread.ended) unused ??= index;
      else if (best === undefined || thread.load < best.load) best = thread;
    }
    if (best?.load === 0) return best;
    if (unused !== undefined) return this.#threadAt(unused);
    return best !== undefined && best.load < (this.#options.queueDepth ?? 2) ? best : undefined;
  }

  #threadAt(index: number): WorkerThread {
    const known = this.#threads[index];
    if (known !== undefined && !known.ended) return known;
    const { program, start, name, maxYoungGenerationSizeMb = 8 } = this.#options;
    const onSettled = (): void => {
      if (!this.#closed) this.#dispatch();
    };
    const thread = new WorkerThread({ program, start, name, maxYoungGenerationSizeMb, onSettled });
    this.#threads[index] = thread;
    return thread;
  }

  /** Begins to count the idle time once nothing is left to do. */
  #watchIdle(): void {
    const { idle } = this.#options;
    if (idle === undefined || this.#idle !== undefined || this.#isBusy()) return;
    const watch = new AbortController();
    this.#idle = watch;
    const end = async (): Promise<void> => {
      await idle.clock.sleep(idle.afterMs, { signal: watch.signal });
      if (watch.signal.aborted || this.#isBusy()) return;
      this.#idle = undefined;
      const error = new EsgzError("ABORTED", "Cannot do job: the workers were idle");
      await this.#terminateFrom(idle.keep?.() ?? 0, error);
      idle.onEnded?.();
    };
    // A job that comes first ends the wait.
    end().catch(() => undefined);
  }

  #isBusy(): boolean {
    return this.queueLength > 0 || this.#threads.some((thread) => thread !== undefined && thread.load > 0);
  }

  /** Ends all threads but so many. */
  async #terminateFrom(kept: number, error: EsgzError): Promise<void> {
    const ending: Promise<void>[] = [];
    let alive = 0;
    for (const [index, thread] of this.#threads.entries()) {
      if (thread === undefined) continue;
      alive += thread.ended ? 0 : 1;
      if (!thread.ended && alive <= kept) continue;
      this.#threads[index] = undefined;
      ending.push(thread.terminate(error));
    }
    await Promise.all(ending);
  }
}

/**
 * The program `name` that lies beside a module, as source or compiled: `programBeside(import.meta.url, "./pull-worker")`.
 */
export function programBeside(moduleUrl: string, name: string): URL {
  return new URL(`${name}${extname(moduleUrl)}`, moduleUrl);
}
