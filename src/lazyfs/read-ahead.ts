/**
 * Which readers go on in order, and how far to read ahead of them. Arithmetic only.
 *
 * ```text
 * data device   |--read--|------ window ------|-------- next window, twice as large --------|
 *                        ^ mark: a reader who comes here makes the next window be asked for
 * ```
 *
 * @module
 */
import { BLOCK_SIZE } from "../store/index.ts";

/** A run of the data device to be asked for ahead of a reader. */
export interface AheadRange {
  readonly offset: number;
  readonly size: number;
}

/** What follows from a read that has to wait. */
export interface NotedMiss {
  /** To be brought with what is read. */
  readonly takeAlong: AheadRange;
  /** To be asked for at the same time. */
  readonly beside: AheadRange | undefined;
  /** Whether it fits no sequence that was seen before. */
  readonly isNew: boolean;
}

interface Sequence {
  /** Where in the marks it is. */
  readonly slot: number;
  /** Behind what was read. */
  position: number;
  /** Behind what was asked for. */
  ahead: number;
  /** Who reads here, or behind, gets the next window. */
  mark: number;
  window: number;
  usedAt: number;
}

/** Sequences that are followed at once. */
const SEQUENCES = 8;
/** The kernel asks for neighbouring pages in any order. */
const BACKWARD_SLACK = 256 << 10;
const FORWARD_SLACK = 128 << 10;
/** A read that waits takes no more along with itself; the rest of its window travels beside it. */
const MAX_TAKEN_ALONG = 2 << 20;

/** Follows the readers of one layer. */
export class ReadAhead {
  /** Block numbers that make a reader noticed, -1 for none; shared with other threads, which set those they saw to -1. */
  readonly marks: Int32Array = new Int32Array(
    new SharedArrayBuffer(SEQUENCES * Int32Array.BYTES_PER_ELEMENT),
  ).fill(-1);
  readonly #limits: { readonly readAheadMin: number; readonly readAheadMax: number };
  readonly #sequences: Sequence[] = [];
  #time = 0;

  constructor(limits: { readonly readAheadMin: number; readonly readAheadMax: number }) {
    this.#limits = limits;
  }

  /** Bytes of the data device that are asked for ahead of one reader at most. */
  get most(): number {
    return this.#limits.readAheadMax;
  }

  /** Notes a read that has to wait. */
  noteMiss(offset: number, size: number): NotedMiss {
    const end = offset + size;
    const known = this.#find(offset);
    const { readAheadMin, readAheadMax } = this.#limits;
    if (known !== undefined && end <= known.mark) {
      known.position = Math.max(known.position, end);
      return { takeAlong: { offset: end, size: readAheadMin }, beside: undefined, isNew: false };
    }
    const sequence = known ?? this.#begin(end);
    sequence.window = known === undefined ? readAheadMin : Math.min(readAheadMax, known.window * 2);
    sequence.position = Math.max(sequence.position, end);
    const from = Math.max(end, sequence.ahead);
    const taken = Math.max(0, Math.min(sequence.window, MAX_TAKEN_ALONG) - (from - end));
    const beside = sequence.window - taken;
    this.#extend(sequence, { from, to: from + sequence.window });
    return {
      takeAlong: { offset: end, size: from - end + taken },
      beside: known === undefined || beside === 0 ? undefined : { offset: from + taken, size: beside },
      isNew: known === undefined,
    };
  }

  /** Notes a read of bytes that were there. Returns what to ask for now, if anything. */
  noteHit(offset: number, size: number): AheadRange | undefined {
    const sequence = this.#find(offset);
    if (sequence === undefined) return undefined;
    sequence.position = Math.max(sequence.position, offset + size);
    if (sequence.position <= sequence.mark) return undefined;
    sequence.window = Math.min(this.#limits.readAheadMax, sequence.window * 2);
    const from = Math.max(sequence.ahead, sequence.position);
    this.#extend(sequence, { from, to: from + sequence.window });
    return { offset: from, size: sequence.window };
  }

  /** Forgets all readers. */
  clear(): void {
    this.#sequences.length = 0;
    for (let slot = 0; slot < SEQUENCES; slot += 1) Atomics.store(this.marks, slot, -1);
  }

  #extend(sequence: Sequence, { from, to }: { readonly from: number; readonly to: number }): void {
    sequence.mark = from;
    sequence.ahead = to;
    Atomics.store(this.marks, sequence.slot, Math.floor(from / BLOCK_SIZE));
  }

  #find(offset: number): Sequence | undefined {
    const found = this.#sequences.find(
      ({ position, ahead }) =>
        offset >= position - BACKWARD_SLACK && offset <= Math.max(position, ahead) + FORWARD_SLACK,
    );
    if (found !== undefined) found.usedAt = this.#time += 1;
    return found;
  }

  /** A new sequence, in the place of the one that was used longest ago. */
  #begin(position: number): Sequence {
    const oldest = this.#sequences.reduce<Sequence | undefined>(
      (best, other) => (best === undefined || other.usedAt < best.usedAt ? other : best),
      undefined,
    );
    const isFull = this.#sequences.length >= SEQUENCES;
    const slot = isFull ? (oldest?.slot ?? 0) : this.#sequences.length;
    if (isFull && oldest !== undefined) this.#sequences.splice(this.#sequences.indexOf(oldest), 1);
    this.#time += 1;
    const window = this.#limits.readAheadMin;
    const sequence = { slot, position, ahead: position, mark: position, window, usedAt: this.#time };
    this.#sequences.push(sequence);
    return sequence;
  }
}
