export { collectGarbage } from "./collect-garbage.ts";
export { errorOfFailure, failureOf, type JobFailure } from "./job-message.ts";
export { serveJobs, type ServeJobsOptions } from "./serve-jobs.ts";
export { type JobOptions, programBeside, WorkerPool, type WorkerPoolOptions } from "./worker-pool.ts";
