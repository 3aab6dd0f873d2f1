/**
 * A stream taken in chunks of the reader's choice, hashed on the way in.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { untilAborted } from "../async/index.ts";
import { ByteQueue } from "../bytes/index.ts";
import type { Digest, DigestAlgorithm } from "../oci/index.ts";

/** Regroups a stream; holds at most one chunk and one piece of the stream. */
export class ChunkReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  readonly #queue = new ByteQueue();
  readonly #signal: AbortSignal | undefined;
  readonly #hash: Hash;
  readonly #algorithm: DigestAlgorithm;
  #size = 0;
  #ended = false;

  constructor(
    content: AsyncIterable<Uint8Array>,
    options: { readonly algorithm: DigestAlgorithm; readonly signal: AbortSignal | undefined },
  ) {
    const { algorithm, signal } = options;
    this.#signal = signal;
    this.#iterator = content[Symbol.asyncIterator]();
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** Bytes that have come in so far. */
  get size(): number {
    return this.#size;
  }

  /** Whether everything has been taken. Meaningful after a `take`. */
  get done(): boolean {
    return this.#ended && this.#queue.size === 0;
  }

  /** The next `size` bytes; fewer only at the end of the stream. */
  async take(size: number): Promise<Uint8Array> {
    // One byte more than asked for tells a stream that ends exactly here from one that goes on.
    while (this.#queue.size <= size && !this.#ended) await this.#pull();
    return this.#queue.take(Math.min(size, this.#queue.size)) ?? new Uint8Array(0);
  }

  /** Everything that is left, after `before`. */
  async *rest(before: Uint8Array): AsyncIterable<Uint8Array> {
    if (before.length > 0) yield before;
    for (;;) {
      const held = this.#queue.takeSome(Number.MAX_SAFE_INTEGER);
      if (held.length > 0) yield held;
      else if (this.#ended) return;
      else await this.#pull();
    }
  }

  /** The digest of all bytes. Call once, after the end. */
  digest(): Digest {
    return `${this.#algorithm}:${this.#hash.digest("hex")}`;
  }

  /** Tells the source that no more is wanted; does not wait for it. */
  release(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#iterator.return?.().catch(() => undefined);
  }

  async #pull(): Promise<void> {
    // A source that has nothing to say must not keep an aborted push waiting.
    const next = await untilAborted(this.#iterator.next(), this.#signal);
    if (next.done === true) {
      this.#ended = true;
      return;
    }
    this.#hash.update(next.value);
    this.#size += next.value.length;
    this.#queue.push(next.value);
  }
}
