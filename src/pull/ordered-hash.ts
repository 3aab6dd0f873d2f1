/**
 * The digest of a blob whose parts arrive in any order: each part is hashed when all before it were.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { algorithmOf, type Digest } from "../oci/index.ts";

/** A part of a blob that is being received. */
export interface HashedPart {
  /** Says that the part's first `size` bytes are there. */
  advance(size: number): void;
  /** Resolves when the whole part is hashed and its memory may be used again. */
  readonly hashed: Promise<void>;
}

interface Part {
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly resolve: () => void;
  filled: number;
}

/** Hashes a blob in its order. */
export class OrderedHash {
  readonly #algorithm: ReturnType<typeof algorithmOf>;
  readonly #hash: Hash;
  readonly #waiting = new Map<number, Part>();
  #position = 0;

  /** @param digest names the algorithm */
  constructor(digest: Digest) {
    this.#algorithm = algorithmOf(digest);
    this.#hash = createHash(this.#algorithm);
  }

  /** The number of bytes hashed, from the start of the blob. */
  get position(): number {
    return this.#position;
  }

  /** Announces a part: `bytes` is the memory that it will be received into. Parts must not overlap. */
  open(offset: number, bytes: Uint8Array): HashedPart {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const part: Part = { offset, bytes, resolve: () => resolve(undefined), filled: 0 };
    this.#waiting.set(offset, part);
    return {
      hashed: promise,
      advance: (size) => {
        part.filled = Math.max(part.filled, size);
        this.#hashAvailable();
      },
    };
  }

  /** The digest of all that was hashed; no part can follow. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest("hex")}`;
  }

  #hashAvailable(): void {
    for (let head = this.#head(); head !== undefined; head = this.#head()) {
      const done = this.#position - head.offset;
      if (head.filled > done) {
        this.#hash.update(head.bytes.subarray(done, head.filled));
        this.#position = head.offset + head.filled;
      }
      if (head.filled < head.bytes.length) return;
      this.#waiting.delete(head.offset);
      head.resolve();
    }
  }

  /** The part that holds the next byte. */
  #head(): Part | undefined {
    for (const part of this.#waiting.values()) {
      if (part.offset <= this.#position && this.#position < part.offset + part.bytes.length) return part;
      if (part.bytes.length === 0 && part.offset === this.#position) return part;
    }
    return undefined;
  }
}
