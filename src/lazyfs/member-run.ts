/**
 * The unit of fetching: a compressed member, with the chunks that are cut from it.
 *
 * ```text
 * chunks   | 4 | 5 | 6 | 7 | 8 |     of the chunk table, in the order of their places
 * members  |   A   |   B   | C |     run = neighbours with one blob offset; its name is its first chunk
 * ```
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { ChunkRow, Layer } from "../store/index.ts";

/** Neighbouring chunks that lie in one member. */
export interface MemberRun {
  /** The first chunk, which names the run. */
  readonly first: number;
  /** Behind the last chunk. */
  readonly end: number;
  /** Where the member begins in the blob. */
  readonly blobOffset: number;
  /** Compressed bytes to fetch. */
  readonly size: number;
  /** Inflated bytes needed, from the member's start. */
  readonly need: number;
}

/** Members up to this size are fetched whole, whatever is needed of them. */
const WHOLE_MEMBER = 64 << 20;

/** Finds runs, and remembers the last one: neighbours are asked for together. */
export class MemberRuns {
  readonly #layer: Layer;
  #last: MemberRun | undefined;

  constructor(layer: Layer) {
    this.#layer = layer;
  }

  /**
   * The run of a chunk.
   *
   * @throws {EsgzError} `NOT_SUPPORTED` for a chunk that cannot be fetched by itself; `STORE_INVALID`
   */
  at(chunk: number): MemberRun {
    const last = this.#last;
    if (last !== undefined && chunk >= last.first && chunk < last.end) return last;
    const row = this.#layer.chunk(chunk);
    if (row.memberSize === 0) throw this.#cannotFetch(chunk);
    let first = chunk;
    let end = chunk + 1;
    let need = row.innerOffset + row.size;
    const take = (index: number): boolean => {
      const other = this.#layer.chunk(index);
      if (!isSameMember(row, other)) return false;
      need = Math.max(need, other.innerOffset + other.size);
      return true;
    };
    while (first > 0 && take(first - 1)) first -= 1;
    while (end < this.#layer.chunkCount && take(end)) end += 1;
    this.#last = { first, end, blobOffset: row.blobOffset, size: bytesToFetch(row.memberSize, need), need };
    return this.#last;
  }

  #cannotFetch(chunk: number): EsgzError {
    return new EsgzError(
      "NOT_SUPPORTED",
      `Cannot fetch chunk ${chunk} of "${this.#layer.digest}": expected a layer that can be read in parts, got one that was pulled whole`,
    );
  }
}

function isSameMember(a: ChunkRow, b: ChunkRow): boolean {
  return a.blobOffset === b.blobOffset && a.memberSize === b.memberSize;
}

/** A member that claims to be huge is cut: what is needed of it cannot take much more room than it has inflated. */
function bytesToFetch(memberSize: number, need: number): number {
  return Math.min(memberSize, Math.max(WHOLE_MEMBER, need + (need >>> 6) + (1 << 20)));
}
