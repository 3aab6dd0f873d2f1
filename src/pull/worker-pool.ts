/**
 * The worker threads of a pull.
 *
 * @module
 */
import { programBeside, WorkerPool as Pool } from "../workers/index.ts";
import type { JobResult, WorkerJob, WorkerStart } from "./worker-protocol.ts";

/** Threads that inflate, verify and write; see `pull-worker.ts`. */
export type WorkerPool = Pool<WorkerStart, WorkerJob, JobResult>;

/** Starts the workers. Disposing ends them at once, whatever they do. */
export function startWorkers(threads: number, start: WorkerStart): WorkerPool {
  const program = programBeside(import.meta.url, "./pull-worker");
  const pool: WorkerPool = new Pool({ program, start, threads, name: "esgz-pull" });
  pool.startAll();
  return pool;
}
