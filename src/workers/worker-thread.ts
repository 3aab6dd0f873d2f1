/**
 * Main-thread side of one worker thread.
 *
 * @module
 */
import { type Transferable, Worker } from "node:worker_threads";
import { EsgzError, messageOf } from "../errors/index.ts";
import { type AnswerMessage, errorOfFailure } from "./job-message.ts";

/** A job and who waits for it. */
export interface WaitingJob {
  readonly job: unknown;
  readonly transfer: readonly Transferable[];
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** What a thread is started with. */
export interface WorkerThreadOptions {
  readonly program: URL;
  readonly start: unknown;
  readonly name: string;
  readonly maxYoungGenerationSizeMb: number;
  /** Called after each job, and when the thread has ended. */
  readonly onSettled: () => void;
}

/** A thread, as long as it lives. */
export class WorkerThread {
  readonly #worker: Worker;
  readonly #running = new Map<number, WaitingJob>();
  readonly #options: WorkerThreadOptions;
  #nextId = 0;
  #failure: EsgzError | undefined;

  constructor(options: WorkerThreadOptions) {
    const { program, start, name, maxYoungGenerationSizeMb } = options;
    this.#options = options;
    this.#worker = new Worker(program, {
      workerData: start,
      name,
      resourceLimits: { maxYoungGenerationSizeMb },
    });
    this.#worker.on("message", (answer: AnswerMessage) => this.#settle(answer));
    this.#worker.on("error", (cause) => this.#end(`a worker failed: ${messageOf(cause)}`, cause));
    this.#worker.on("exit", () => this.#end("a worker has ended"));
  }

  /** Jobs that it has and has not answered. */
  get load(): number {
    return this.#running.size;
  }

  /** Whether it can take no more jobs. */
  get ended(): boolean {
    return this.#failure !== undefined;
  }

  /** Gives it a job. Jobs of one thread are done in the order of the calls. */
  post(waiting: WaitingJob): void {
    if (this.#failure !== undefined) {
      waiting.reject(this.#failure);
      return;
    }
    this.#nextId += 1;
    this.#running.set(this.#nextId, waiting);
    try {
      this.#worker.postMessage({ id: this.#nextId, job: waiting.job }, waiting.transfer);
    } catch (error) {
      this.#running.delete(this.#nextId);
      waiting.reject(error);
    }
  }

  /** Ends it at once, whatever it does; its jobs reject with `error`. */
  async terminate(error: EsgzError): Promise<void> {
    this.#fail(error);
    await this.#worker.terminate();
  }

  #settle(answer: AnswerMessage): void {
    const waiting = this.#running.get(answer.id);
    this.#running.delete(answer.id);
    if ("failure" in answer) waiting?.reject(errorOfFailure(answer.failure));
    else waiting?.resolve(answer.result);
    this.#options.onSettled();
  }

  #end(reason: string, cause?: unknown): void {
    this.#fail(new EsgzError("INTERNAL", `Cannot do job: ${reason}`, { cause }));
    this.#options.onSettled();
  }

  #fail(error: EsgzError): void {
    this.#failure ??= error;
    for (const waiting of this.#running.values()) waiting.reject(this.#failure);
    this.#running.clear();
  }
}
