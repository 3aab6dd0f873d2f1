/**
 * What views need of whoever brings missing bytes.
 *
 * @module
 */
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Layer } from "../store/index.ts";
import type { EarlyBlocksMemory } from "./early-blocks.ts";

/** A range of a layer's data device that a reader waits for. */
export interface WaitingRange {
  /** In bytes of the data device. */
  readonly offset: number;
  readonly size: number;
  /** For how long. */
  readonly sinceMs: number;
}

/** Brings what is missing of layers; `LayerFetcher` is one. */
export interface RangeFetcher {
  /**
   * The bytes of a range of a layer's data device, verified, waiting for what is missing. The result is the caller's.
   *
   * @throws {EsgzError} the reason of the signal, or why the bytes do not come: the reader sees an error then.
   */
  read(layer: Layer, range: ByteRange, options?: ReadOptions): Promise<Uint8Array>;
  /** Told when a reader touched a block of {@link RangeFetcher.marksOf}. */
  noteHit(layer: Layer, offset: number): void;
  /** Blocks of 4096 bytes whose readers are to be noticed, in shared memory; -1 is none. */
  marksOf(layer: Layer): Int32Array;
  /** What came before it was read, in shared memory. */
  earlyBlocksOf(layer: Layer): EarlyBlocksMemory;
  /** What readers of a layer wait for now. */
  layerStatistics(digest: Digest): { readonly waiting: readonly WaitingRange[] };
}
