/**
 * Finds out about chunks that may be there: after an unclean end, or when a disk is in doubt.
 *
 * @module
 */
import { SingleFlight } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";
import { isStored } from "./chunk-slot.ts";
import { slotAt } from "./layer-bits.ts";
import type { LayerContext, LayerFiles } from "./layer-files.ts";
import { guarded } from "./store-error.ts";

/** What a verification found. */
export interface ReverifyReport {
  /** Chunks that were verified and count as there now. */
  readonly kept: number;
  /** Chunks that are missing after all. */
  readonly dropped: number;
}

/** Verifies the chunks of one open layer, each once at a time. */
export class ChunkChecks {
  readonly #digest: Digest;
  readonly #files: LayerFiles;
  readonly #context: LayerContext;
  readonly #flights = new SingleFlight<number, void>();
  #scrubbed = false;
  #stopped = false;

  constructor(digest: Digest, files: LayerFiles, context: LayerContext) {
    this.#digest = digest;
    this.#files = files;
    this.#context = context;
  }

  /** Finds out whether a chunk that may be there is. @throws {EsgzError} `IO_FAILED` */
  async settle(index: number, { signal }: ReadOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#files.bits.claimed.has(index)) await this.#flights.run(index, () => this.#check(index));
  }

  /** Settles all chunks that may be there, one after the other, until told to stop. @throws {EsgzError} `IO_FAILED` */
  async settleAll(options: ReadOptions): Promise<ReverifyReport> {
    const { claimed, filled } = this.#files.bits;
    let [kept, dropped] = [0, 0];
    for (let at = claimed.next(0); at !== undefined && !this.#stopped; at = claimed.next(at + 1)) {
      await this.settle(at, options);
      if (filled.has(at)) kept += 1;
      else dropped += 1;
    }
    return { kept, dropped };
  }

  /** Ends {@link ChunkChecks.settleAll} after the chunk that it is at. */
  stop(): void {
    this.#stopped = true;
  }

  /** Makes all chunks that are there count as unverified. */
  doubtAll(): void {
    const { bits } = this.#files;
    for (let at = bits.filled.next(0); at !== undefined; at = bits.filled.next(at + 1)) {
      bits.drop(at);
      bits.claimed.add(at);
    }
    this.#scrubbed = true;
  }

  async #check(index: number): Promise<void> {
    const { bits, table, data, journal } = this.#files;
    const stored = await guarded(`verify a chunk of ${this.#digest}`, () =>
      isStored(data, slotAt(table, index)),
    );
    // Written in the meantime: that was verified.
    if (!bits.claimed.has(index)) return;
    journal.noteChanged();
    if (stored) bits.fill(index);
    else this.#reject(index);
  }

  #reject(index: number): void {
    this.#files.bits.drop(index);
    // What a killed process left half-written is no failure of the disk: its bit was never recorded.
    if (!this.#scrubbed && this.#files.recorded?.has(index) !== true) return;
    this.#context.onEvent({ kind: "chunk-rejected", layer: this.#digest, index });
  }
}
