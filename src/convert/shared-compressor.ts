/**
 * One bound on compression for everything that compresses.
 *
 * @module
 */
import type { Semaphore } from "../async/index.ts";
import type { Compressor } from "../estargz/index.ts";

/** A compressor whose calls wait for a permit: layers that are written at the same time share the same jobs. */
export function withSharedJobs(compressor: Compressor, jobs: Semaphore): Compressor {
  return {
    name: compressor.name,
    compress: (parts, options) =>
      jobs.run(() => compressor.compress(parts, options), { signal: options.signal }),
  };
}
