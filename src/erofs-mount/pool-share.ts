/**
 * This module's share of the thread pool.
 *
 * @module
 */
import { Semaphore } from "../async/index.ts";

/**
 * Half of the threads that Node's pool has unless told otherwise. What waits for a file of a FUSE filesystem occupies its
 * thread; if such calls took all threads, a server in this process could not use the pool to answer them.
 */
const THREADS = 2;
const share = new Semaphore(THREADS);

/** Runs work that may wait for files of others, on at most two threads of the pool at a time. It must not nest. */
export function usePoolShare<T>(work: () => Promise<T>): Promise<T> {
  return share.run(work);
}
