/**
 * What is known about the chunks of an open layer.
 *
 * @module
 */
import { BitSet } from "./bit-set.ts";
import { BLOCK_SIZE } from "./chunk-row.ts";
import type { ChunkSlot } from "./chunk-slot.ts";
import type { ChunkTable, IndexRange } from "./chunk-table.ts";

/** The state of each chunk and block. One thread changes it; others may read the sets. */
export class LayerBits {
  /** Chunks that are there and verified. */
  readonly filled: BitSet;
  /** Chunks that may be there; nobody has verified them. None is also in `filled`. */
  readonly claimed: BitSet;
  /** Blocks of 4096 bytes of the data device that may be read from the file as they are. */
  readonly ready: BitSet;
  readonly #table: ChunkTable;

  constructor(table: ChunkTable) {
    this.#table = table;
    this.filled = new BitSet(table.count);
    this.claimed = new BitSet(table.count);
    this.ready = new BitSet(table.dataSize / BLOCK_SIZE);
  }

  /** Whether every chunk is there and verified. */
  get complete(): boolean {
    return this.filled.count === this.#table.count;
  }

  /** Notes that a chunk is there and verified. */
  fill(index: number): void {
    this.claimed.delete(index);
    if (!this.filled.add(index)) return;
    const { first, end } = this.#blocksOf(index);
    for (const block of new Set([first, end - 1])) if (this.#isBlockFilled(block)) this.ready.add(block);
    this.ready.addRange(first + 1, Math.max(first + 1, end - 1));
  }

  /** Notes that a chunk is not there. */
  drop(index: number): void {
    this.claimed.delete(index);
    if (!this.filled.delete(index)) return;
    const { first, end } = this.#blocksOf(index);
    for (let block = first; block < end; block += 1) this.ready.delete(block);
  }

  /** Notes that all chunks are there and verified, and that all gaps are holes. */
  fillAll(): void {
    this.filled.addRange(0, this.filled.size);
    this.ready.addRange(0, this.ready.size);
  }

  /** Notes that the blocks without chunks read as zeros. */
  trustGaps(): void {
    for (const { offset, end } of this.#table.gaps) {
      this.ready.addRange(offset / BLOCK_SIZE, Math.floor(end / BLOCK_SIZE));
    }
  }

  #blocksOf(index: number): IndexRange {
    const { place, size, padding } = slotAt(this.#table, index);
    return { first: Math.floor(place / BLOCK_SIZE), end: Math.ceil((place + size + padding) / BLOCK_SIZE) };
  }

  #isBlockFilled(block: number): boolean {
    const { first, end } = this.#table.overlapping(block * BLOCK_SIZE, BLOCK_SIZE);
    return this.filled.hasRange(first, end);
  }
}

/** The slot of a chunk. */
export function slotAt(table: ChunkTable, index: number): ChunkSlot {
  const { place, size, digest } = table.row(index);
  const end = place + size;
  const block = Math.ceil(end / BLOCK_SIZE) * BLOCK_SIZE;
  const next = end === block || index + 1 === table.count ? block : table.row(index + 1).place;
  return { place, size, padding: Math.min(block, next) - end, digest };
}
