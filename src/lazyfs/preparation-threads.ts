/**
 * Threads that do what takes the processor when an image is prepared: tables of contents are proven and compiled there, several
 * at once, and metadata is merged. The thread that serves reads goes on to do so meanwhile.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { errorOfFailure, programBeside, WorkerPool } from "../workers/index.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import { type LayerMaterial, makeLayer, type MadeLayer } from "./make-layer.ts";
import { type MergedBytes, type MergePart, mergeStoredMetas } from "./merge-stored-metas.ts";
import type { DeclinedAnswer, PreparationAnswer, PreparationJob } from "./preparation-job.ts";
import { makePracticeImages, type PracticeImage } from "./rehearse-preparation.ts";

/** How many threads, and for how long. */
export interface PreparationThreadsOptions {
  /** At most so many. */
  readonly threads: number;
  /** Ends threads that have had nothing to do for a while. Without it they stay. */
  readonly idle?:
    | {
        readonly clock: Clock;
        /** How many stay all the same, asked each time. */
        readonly keep: () => number;
      }
    | undefined;
}

/** A thread that has done nothing for so long ends. */
const IDLE_MS = 5000;
/** A table of contents of so many compressed bytes has some 200 files: where no thread runs, starting one takes longer. */
const SMALL_TOC = 16 << 10;

/** The threads. Disposing ends them at once. */
export class PreparationThreads implements AsyncDisposable {
  readonly #pool: WorkerPool<undefined, PreparationJob, PreparationAnswer>;
  readonly #keep: () => number;
  #practice: Promise<readonly PracticeImage[]> | undefined;
  /** Jobs so far, and how many there were when all was practised last. */
  #works = 0;
  #practisedAfter = -1;

  constructor({ threads, idle }: PreparationThreadsOptions) {
    const program = programBeside(import.meta.url, "./preparation-worker");
    this.#pool = new WorkerPool({
      program,
      start: undefined,
      threads,
      name: "esgz-prepare",
      // Jobs differ by far: none is to wait for a long one while another thread is free.
      queueDepth: 1,
      ...(idle === undefined ? {} : { idle: { ...idle, afterMs: IDLE_MS } }),
    });
    this.#keep = idle?.keep ?? ((): number => threads);
  }

  /** Starts the threads if they may stay: to be called when an image is asked for, which first takes round trips. */
  warm(): void {
    if (this.#keep() > 0) this.#pool.startAll();
  }

  /** As `makeLayer()`. @throws {EsgzError} as that; `INTERNAL` if a thread died, `ABORTED` after disposal */
  async makeLayer(material: LayerMaterial): Promise<MadeLayer | DeclinedLayer> {
    const { raw } = material;
    if (raw.bytes.length < SMALL_TOC && this.#pool.liveThreads === 0) return await makeLayer(material);
    // A copy of what is needed: the bytes may be a part of a much larger buffer.
    const bytes = new Uint8Array(raw.bytes);
    this.#works += 1;
    const sent = { ...material, raw: { ...raw, bytes } };
    const answer = await this.#pool.run({ kind: "make", material: sent }, { transfer: [bytes.buffer] });
    if (answer.kind === "made") return answer;
    return declinedFrom(answer as DeclinedAnswer);
  }

  /** As `mergeStoredMetas()`. @throws {EsgzError} as that; `INTERNAL`, `ABORTED` as above */
  async merge(parts: readonly MergePart[]): Promise<MergedBytes> {
    if (this.#pool.liveThreads === 0 && this.#keep() === 0) return await mergeStoredMetas(parts);
    this.#works += 1;
    // Its layers are made: the image waits for nothing else.
    return (await this.#pool.run({ kind: "merge", parts }, { urgent: true })) as MergedBytes &
      PreparationAnswer;
  }

  /** Whether all was practised, and nothing was done since, after which what was compiled may have been given up. */
  get isPractised(): boolean {
    return this.#practisedAfter === this.#works;
  }

  /**
   * Has each thread that stays practise, in parts, until somebody comes, who waits a tenth of a second at most.
   *
   * @throws {EsgzError} `INTERNAL` if a thread died, `ABORTED` after disposal
   */
  async practise({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    if (this.#keep() === 0) return;
    const works = this.#works;
    this.#practice ??= makePracticeImages();
    for (const [round, layers] of (await this.#practice).entries()) {
      if (signal.aborted || this.#keep() === 0 || this.#works !== works) return;
      await this.#pool.runOnAll({ kind: "practise", layers, isFirst: round === 0 });
    }
    this.#practisedAfter = works;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}

function declinedFrom({ failure, ...declined }: DeclinedAnswer): DeclinedLayer {
  return failure === undefined ? declined : { ...declined, cause: errorOfFailure(failure) };
}
