/**
 * Thread side: does jobs, one after the other.
 *
 * @module
 */
import { getHeapStatistics } from "node:v8";
import { parentPort, type Transferable, workerData } from "node:worker_threads";
import { EsgzError } from "../errors/index.ts";
import { collectGarbage } from "./collect-garbage.ts";
import { failureOf, type JobMessage } from "./job-message.ts";

/** How a thread serves. */
export interface ServeJobsOptions<Result> {
  /** What the jobs do, as `<verb> <thing>`, for messages of errors that are not esgz's own. */
  readonly action: string;
  /** Memory of a result that changes hands instead of being copied. */
  readonly transferOf?: (result: Result) => Transferable[];
  /** Garbage is collected when no job has come for so long, all of it if there is much; for jobs that make some. */
  readonly collectAfterMs?: number;
}

/**
 * Makes this thread a worker of a `WorkerPool`: `create` is called once, with what the pool was given as `start`, and
 * gives the function that does a job. Jobs are done in the order of their arrival, the next one when the one before has
 * settled. What a job throws rejects in the pool: an `EsgzError` with its code, anything else as `IO_FAILED` or
 * `NO_SPACE`.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` on a thread that no pool has started.
 */
export function serveJobs<Start, Job, Result>(
  create: (start: Start) => (job: Job) => Result | Promise<Result>,
  options: ServeJobsOptions<Result>,
): void {
  const port = parentPort;
  if (port === null) throw new EsgzError("NOT_SUPPORTED", "Cannot serve jobs: this is no worker thread");
  const run = create(workerData as Start);
  const answer = async ({ id, job }: JobMessage): Promise<void> => {
    try {
      const result = await run(job as Job);
      port.postMessage({ id, result }, options.transferOf?.(result) ?? []);
    } catch (error) {
      port.postMessage({ id, failure: failureOf(error, options.action) });
    }
  };
  const { collectAfterMs } = options;
  let last = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;
  port.on("message", (message: JobMessage) => {
    clearTimeout(timer);
    last = last.then(() => answer(message));
    if (collectAfterMs !== undefined) timer = setTimeout(rest, collectAfterMs).unref();
  });
}

/** So much may stay: it is what a thread has made that practised, and collecting it would cost what was compiled. */
const LIGHT_HEAP = 40 << 20;
/** A heap of so many bytes was grown for a job that hardly comes again soon: its memory is worth more than speed. */
const LARGE_HEAP = 48 << 20;

function rest(): void {
  const { total_heap_size: size } = getHeapStatistics();
  collectGarbage("young");
  // The nursery shrinks at the second time.
  collectGarbage("young");
  const { used_heap_size: used, external_memory: external } = getHeapStatistics();
  if (used + external > LIGHT_HEAP) collectGarbage(size > LARGE_HEAP ? "thorough" : "whole");
}
