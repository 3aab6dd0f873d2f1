/**
 * A layer as a FUSE worker sees it: what is there it reads by itself.
 *
 * @module
 */
import { closeSync, openSync, readSync } from "node:fs";
import type { ByteRange } from "../blob/index.ts";
import { ErrnoError } from "../fuse/index.ts";
import type { Digest } from "../oci/index.ts";
import { isRangeReady } from "../store/index.ts";
import { EarlyBlocks, type EarlyBlocksMemory } from "./early-blocks.ts";
import { ReadCounters } from "./read-counters.ts";

/** What a worker has to know of a layer: plain data and shared memory. */
export interface ServedLayerStart {
  /** Names the layer in messages; see `layerNode()`. */
  readonly node: number;
  readonly digest: Digest;
  /** The sparse data file. */
  readonly dataPath: string;
  /** Bytes, a multiple of 4096. */
  readonly dataSize: number;
  /** The bytes of `Layer.readyBlocks`. */
  readonly readyBlocks: Uint8Array;
  /** Blocks whose reader wants to be noticed; -1 is none. */
  readonly marks: Int32Array;
  readonly early: EarlyBlocksMemory;
  /** The memory of {@link ReadCounters}. */
  readonly counters: SharedArrayBuffer;
}

/** What a worker says when somebody read a block that is marked. */
export interface MarkMessage {
  readonly kind: "mark";
  readonly node: number;
  /** Blocks of 4096 bytes from the start of the data device. */
  readonly block: number;
}

const BLOCK_SIZE = 4096;

/** An open data file with the map of what is there. */
export class ServedLayer implements Disposable {
  readonly start: ServedLayerStart;
  readonly counters: ReadCounters;
  readonly #early: EarlyBlocks;
  readonly #onMark: (message: MarkMessage) => void;
  #fd: number | undefined;

  /** The file is opened when it is first read. `onMark` is told once for each mark that is set. */
  constructor(start: ServedLayerStart, onMark: (message: MarkMessage) => void) {
    this.start = start;
    this.#early = new EarlyBlocks(start.early);
    this.counters = new ReadCounters(start.counters);
    this.#onMark = onMark;
  }

  /** Whether all bytes of a range are there and verified. */
  isReady(range: ByteRange): boolean {
    return isRangeReady(this.start.readyBlocks, range);
  }

  /**
   * Reads a range that {@link ServedLayer.isReady} into `target`, which has its size.
   *
   * @throws {ErrnoError} EIO if the file is shorter than it was; errors of the system.
   */
  readInto(range: ByteRange, target: Uint8Array): void {
    this.#fd ??= openSync(this.start.dataPath, "r");
    for (let done = 0; done < range.size;) {
      const got = readSync(this.#fd, target, done, range.size - done, range.offset + done);
      if (got === 0) throw new ErrnoError("EIO", `Cannot read "${this.start.dataPath}": it has shrunk`);
      done += got;
    }
    this.#early.use(range);
    this.#noteMarks(range);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #noteMarks({ offset, size }: ByteRange): void {
    const { marks, node } = this.start;
    const [first, last] = [Math.floor(offset / BLOCK_SIZE), Math.floor((offset + size - 1) / BLOCK_SIZE)];
    for (let at = 0; at < marks.length; at += 1) {
      const block = Atomics.load(marks, at);
      if (block < first || block > last || block < 0) continue;
      // Taken by whoever sees it first: one message a mark.
      if (Atomics.compareExchange(marks, at, block, -1) === block) {
        this.#onMark({ kind: "mark", node, block });
      }
    }
  }
}
