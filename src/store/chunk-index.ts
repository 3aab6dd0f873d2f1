/**
 * Finds chunks by their digest, across layers.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ChunkTable } from "./chunk-table.ts";

/** A chunk that may have the digest that was asked for. */
export interface ChunkCandidate {
  readonly layer: Digest;
  readonly index: number;
}

/** Slots of three numbers: first 32 bits of the digest, layer number + 1, chunk index. */
const SLOT = 3;

/**
 * A hash table in fixed memory, 24 bytes a chunk: it keeps 32 bits of each digest, so what it finds must be compared.
 * Layers that no longer fit are not indexed; their chunks are fetched instead of copied.
 */
export class ChunkIndex {
  readonly #slots: Uint32Array;
  readonly #capacity: number;
  readonly #layers: (Digest | undefined)[] = [];
  readonly #numbers = new Map<Digest, number>();
  #count = 0;

  /** @param capacity how many chunks are kept at most. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#slots = new Uint32Array(SLOT * 2 ** Math.ceil(Math.log2(Math.max(2, capacity * 2))));
  }

  /** The number of chunks in it. */
  get size(): number {
    return this.#count;
  }

  /** Adds the chunks of a layer, as many as fit. Adding it again does nothing. */
  add(layer: Digest, table: ChunkTable): void {
    if (this.#numbers.has(layer)) return;
    const number = this.#layers.push(layer);
    this.#numbers.set(layer, number);
    if (this.#count >= this.#capacity) return;
    for (const [index, prefix] of table.digestPrefixes().entries()) {
      if (this.#count >= this.#capacity) return;
      this.#insert(prefix, { number, index });
    }
  }

  /** Forgets a layer. Its slots stay taken until the index is built anew. */
  remove(layer: Digest): void {
    const number = this.#numbers.get(layer);
    if (number === undefined) return;
    this.#numbers.delete(layer);
    this.#layers[number - 1] = undefined;
  }

  /** The chunks whose digest begins like this one. */
  *find(digest: Uint8Array): Generator<ChunkCandidate> {
    const prefix = prefixOf(digest);
    for (let at = this.#start(prefix); this.#slots[at + 1] !== 0; at = this.#after(at)) {
      const layer = this.#layers[(this.#slots[at + 1] ?? 0) - 1];
      if (this.#slots[at] === prefix && layer !== undefined) yield { layer, index: this.#slots[at + 2] ?? 0 };
    }
  }

  #insert(prefix: number, { number, index }: { readonly number: number; readonly index: number }): void {
    let at = this.#start(prefix);
    // Many chunks with one digest (all-zero ones, licences) would make long runs: a few copies are enough.
    for (let equal = 0; this.#slots[at + 1] !== 0; at = this.#after(at)) {
      if (this.#slots[at] === prefix) equal += 1;
      if (equal === 8) return;
    }
    this.#slots[at] = prefix;
    this.#slots[at + 1] = number;
    this.#slots[at + 2] = index;
    this.#count += 1;
  }

  #start(prefix: number): number {
    return (prefix % (this.#slots.length / SLOT)) * SLOT;
  }

  #after(at: number): number {
    return (at + SLOT) % this.#slots.length;
  }
}

function prefixOf(digest: Uint8Array): number {
  return viewOf(digest).getUint32(0, true);
}
