/**
 * Members on their way: compressed several at once, taken in order.
 *
 * @module
 */
import { NO_BYTES } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Compressor } from "./compressor.ts";
import { releaseBytes } from "./release-bytes.ts";
import type { MemberPlace } from "./toc-records.ts";

/** A member that is compressed. */
export interface CompressedMember {
  readonly bytes: Uint8Array;
  readonly place: MemberPlace;
}

/** How a {@link MemberQueue} works. */
export interface MemberQueueOptions {
  readonly compressor: Compressor;
  readonly level: number;
  /** Members being compressed at once. */
  readonly jobs: number;
  readonly signal?: AbortSignal | undefined;
}

interface Job {
  content: Uint8Array;
  /** Whether nobody else uses the content's memory. */
  readonly isOwned: boolean;
  readonly place: MemberPlace;
  readonly compressed: PromiseWithResolvers<Uint8Array>;
  isDone: boolean;
  /** Bytes that it holds in memory. */
  held: number;
}

/** A first-in, first-out queue of compression jobs. Jobs go on while nobody waits. */
export class MemberQueue {
  readonly #options: MemberQueueOptions;
  /** Jobs that were taken leave a hole, so that their bytes can go at once. */
  #jobs: (Job | undefined)[] = [];
  #head = 0;
  /** The first job that has not been started. */
  #next = 0;
  #running = 0;
  #heldBytes = 0;

  constructor(options: MemberQueueOptions) {
    this.#options = options;
  }

  /** Bytes in memory: uncompressed of members that wait, buffers of members that are done. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Whether nothing is held. */
  get isEmpty(): boolean {
    return this.#head === this.#jobs.length;
  }

  /** Whether `take` would resolve at once. */
  get isReady(): boolean {
    return this.#jobs[this.#head]?.isDone === true;
  }

  /** Adds a member's content, which must not change until it is taken; it is freed once compressed if `isOwned`. */
  add(content: Uint8Array, place: MemberPlace, isOwned: boolean): void {
    const compressed = Promise.withResolvers<Uint8Array>();
    // A failure is seen by whoever takes the member; nobody may.
    compressed.promise.catch(() => undefined);
    this.#jobs.push({ content, isOwned, place, compressed, isDone: false, held: content.length });
    this.#heldBytes += content.length;
    this.#startJobs();
  }

  /** Takes the first member. Rejects as its compression did. */
  async take(): Promise<CompressedMember> {
    const job = this.#jobs[this.#head];
    if (job === undefined) throw new EsgzError("INTERNAL", "Cannot take member: expected one, got none");
    const bytes = await job.compressed.promise;
    this.#heldBytes -= job.held;
    this.#jobs[this.#head] = undefined;
    this.#head += 1;
    if (this.#head > 1024 || this.isEmpty) this.#dropTaken();
    return { bytes, place: job.place };
  }

  #dropTaken(): void {
    this.#jobs = this.#jobs.slice(this.#head);
    this.#next -= this.#head;
    this.#head = 0;
  }

  #startJobs(): void {
    while (this.#running < this.#options.jobs) {
      const job = this.#jobs[this.#next];
      if (job === undefined) return;
      this.#next += 1;
      this.#running += 1;
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    const { compressor, level, signal } = this.#options;
    try {
      const bytes = await compressor.compress([job.content], { level, signal });
      this.#heldBytes += bytes.buffer.byteLength - job.held;
      job.held = bytes.buffer.byteLength;
      if (job.isOwned && bytes.buffer !== job.content.buffer) releaseBytes(job.content);
      job.content = NO_BYTES;
      job.compressed.resolve(bytes);
    } catch (error) {
      job.compressed.reject(error);
    }
    job.isDone = true;
    this.#running -= 1;
    this.#startJobs();
  }
}
