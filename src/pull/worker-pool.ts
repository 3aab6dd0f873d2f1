/**
 * Main-thread side of the workers: who does which job.
 *
 * @module
 */
import { extname } from "node:path";
import { Worker } from "node:worker_threads";
import { EsgzError, messageOf } from "../errors/index.ts";
import {
  type AnswerMessage,
  errorOfFailure,
  type JobResult,
  type WorkerJob,
  type WorkerStart,
} from "./worker-protocol.ts";

interface Waiting {
  readonly job: WorkerJob;
  readonly resolve: (result: JobResult) => void;
  readonly reject: (error: unknown) => void;
}

interface Member {
  readonly worker: Worker;
  readonly running: Map<number, Waiting>;
}

/** Jobs that a worker has at once: one to do and one to find when that is done. */
const QUEUE_DEPTH = 2;

/** What workers make is short-lived: a small nursery keeps their memory small without costing time. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 8 } as const;

/** A fixed number of worker threads. Disposing ends them at once, whatever they do. */
export class WorkerPool implements AsyncDisposable {
  readonly #members: Member[];
  readonly #queue: Waiting[] = [];
  #nextId = 0;
  #failure: unknown;

  constructor(count: number, start: WorkerStart) {
    this.#members = Array.from({ length: count }, () => this.#startMember(start));
  }

  /** The number of workers. */
  get size(): number {
    return this.#members.length;
  }

  /** Has the job done by whichever worker is free first. */
  run(job: WorkerJob): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, resolve, reject });
      this.#dispatch();
    });
  }

  /** Has the job done by one worker; jobs for the same worker keep their order. */
  runOn(index: number, job: WorkerJob): Promise<JobResult> {
    const member = this.#members[index % this.#members.length];
    return new Promise((resolve, reject) => {
      if (member === undefined) reject(new EsgzError("INTERNAL", "Cannot do job: there are no workers"));
      else this.#post(member, { job, resolve, reject });
    });
  }

  /** Has the job done by every worker. */
  async runOnAll(job: WorkerJob): Promise<JobResult[]> {
    return await Promise.all(this.#members.map((_, index) => this.runOn(index, job)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()));
    this.#fail(new EsgzError("ABORTED", "Cannot do job: the workers were stopped"));
  }

  #startMember(start: WorkerStart): Member {
    const program = new URL(`./pull-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(program, {
      workerData: start,
      name: "esgz-pull",
      resourceLimits: RESOURCE_LIMITS,
    });
    const member: Member = { worker, running: new Map() };
    worker.on("message", (answer: AnswerMessage) => {
      this.#settle(member, answer);
    });
    worker.on("error", (cause) => {
      this.#fail(
        new EsgzError("INTERNAL", `Cannot write image: a worker failed: ${messageOf(cause)}`, { cause }),
      );
    });
    worker.on("exit", () => {
      this.#fail(new EsgzError("INTERNAL", "Cannot write image: a worker has ended"));
    });
    return member;
  }

  #dispatch(): void {
    for (;;) {
      const [free] = this.#members.toSorted((a, b) => a.running.size - b.running.size);
      if (free === undefined || free.running.size >= QUEUE_DEPTH) return;
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#post(free, next);
    }
  }

  #post(member: Member, waiting: Waiting): void {
    if (this.#failure !== undefined) {
      waiting.reject(this.#failure);
      return;
    }
    this.#nextId += 1;
    member.running.set(this.#nextId, waiting);
    member.worker.postMessage({ id: this.#nextId, job: waiting.job }, transferOf(waiting.job));
  }

  #settle(member: Member, answer: AnswerMessage): void {
    const waiting = member.running.get(answer.id);
    member.running.delete(answer.id);
    if ("failure" in answer) waiting?.reject(errorOfFailure(answer.failure));
    else waiting?.resolve(answer.result);
    this.#dispatch();
  }

  /** Nothing can be done any more: every job that waits or runs fails, and so will those that come. */
  #fail(error: unknown): void {
    this.#failure ??= error;
    for (const waiting of this.#queue.splice(0)) waiting.reject(this.#failure);
    for (const { running } of this.#members) {
      for (const waiting of running.values()) waiting.reject(this.#failure);
      running.clear();
    }
  }
}

/** Bytes of a tar change hands instead of being copied. */
function transferOf(job: WorkerJob): ArrayBuffer[] {
  return job.kind === "stage-push" && job.bytes.buffer instanceof ArrayBuffer ? [job.bytes.buffer] : [];
}
