/**
 * Large files that readers jump about in. Arithmetic only.
 *
 * A program's pages are asked for in no order, one after the other, and in the end nearly all of them: each read that waits has
 * more of the file brought beside it, so that those that follow need not wait.
 *
 * ```text
 * chunks of a file   | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 |
 * first miss                       ^                          nothing more
 * second miss                                  ^   +   +      the next two that are missing
 * third miss                   ^ (+)  + (.) +  (.)(.)(.)+     the next four, from the end back to its beginning
 * ```
 *
 * @module
 */
import type { IndexRange, Layer } from "../store/index.ts";

interface LargeFile extends IndexRange {
  misses: number;
}

/** Who cuts a large file writes chunks of whole megabytes, all of one size, and a smaller one at the end. */
const CHUNK_UNIT = 1 << 20;
/** Files whose readers are followed at once. */
const FILES = 8;
/** A file with more chunks counts as several. */
const MOST_CHUNKS = 1024;
/** Chunks that one read has brought beside it. */
const MOST_BESIDE = 16;

/** Follows the readers of one layer. */
export class ScatteredReads {
  readonly #layer: Pick<Layer, "chunk" | "chunkCount" | "hasChunk">;
  /** Those that were read last come last. */
  readonly #files: LargeFile[] = [];

  constructor(layer: Pick<Layer, "chunk" | "chunkCount" | "hasChunk">) {
    this.#layer = layer;
  }

  /**
   * Notes a read that has to wait for a chunk, and fits no sequence. Returns what to bring beside it.
   *
   * @param mostBytes Bytes of the data device
   */
  noteMiss(chunk: number, mostBytes: number): readonly IndexRange[] {
    const { size } = this.#layer.chunk(chunk);
    const file = this.#followed(chunk);
    if (file === undefined) return [];
    const beside = Math.min(MOST_BESIDE, 2 * file.misses, Math.floor(mostBytes / size));
    file.misses += 1;
    return this.#missingAround(chunk, file, beside);
  }

  /** Up to so many missing chunks behind one, and in front of it where those are too few. */
  #missingAround(chunk: number, file: LargeFile, count: number): IndexRange[] {
    let left = count;
    let end = chunk + 1;
    for (; end < file.end && left > 0; end += 1) if (!this.#layer.hasChunk(end)) left -= 1;
    let first = chunk;
    for (; first > file.first && left > 0; first -= 1) if (!this.#layer.hasChunk(first - 1)) left -= 1;
    return [
      { first: chunk + 1, end },
      { first, end: chunk },
    ].filter((range) => range.end > range.first);
  }

  #followed(chunk: number): LargeFile | undefined {
    const at = this.#files.findIndex(({ first, end }) => chunk >= first && chunk < end);
    const [file] = at === -1 ? [this.#find(chunk)] : this.#files.splice(at, 1);
    if (file === undefined) return undefined;
    this.#files.push(file);
    if (this.#files.length > FILES) this.#files.shift();
    return file;
  }

  /** The file around a chunk, as far as chunks tell; undefined if it is not large. */
  #find(chunk: number): LargeFile | undefined {
    const { chunkCount } = this.#layer;
    let { size } = this.#layer.chunk(chunk);
    // A small one may be the last of a large file.
    if (chunk > 0 && this.#isBehind(chunk, this.#layer.chunk(chunk - 1).size))
      ({ size } = this.#layer.chunk(chunk - 1));
    if (size === 0 || size % CHUNK_UNIT !== 0) return undefined;
    let first = chunk;
    while (first > 0 && chunk - first < MOST_CHUNKS && this.#isBehind(first, size)) first -= 1;
    let end = chunk + 1;
    while (end < chunkCount && end - chunk < MOST_CHUNKS && this.#isBehind(end, size)) end += 1;
    return end - first > 1 ? { first, end, misses: 0 } : undefined;
  }

  /** Whether a chunk goes on where the one before ends, which has a file's usual size. */
  #isBehind(chunk: number, size: number): boolean {
    const [before, here] = [this.#layer.chunk(chunk - 1), this.#layer.chunk(chunk)];
    return before.size === size && here.size <= size && before.place + before.size === here.place;
  }
}
