/**
 * Takes pieces of one size from a stream that comes in chunks of another.
 *
 * @module
 */

/**
 * A reader over the current chunk that copies only what spans chunks. Unlike a `ByteQueue` it keeps nothing of a chunk
 * once the chunk is used up, and knows its place in the stream.
 */
export class ChunkReader {
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #chunkOffset = 0;
  #partial: Uint8Array | undefined;
  #filled = 0;

  /** The stream offset of the next byte to be taken from the chunk. */
  get position(): number {
    return this.#chunkOffset + this.#at;
  }

  /** The stream offset of the piece that `take` is at: before the bytes that it has gathered already. */
  get pieceOffset(): number {
    return this.position - this.#filled;
  }

  /** Whether the chunk is used up. */
  get isEmpty(): boolean {
    return this.#at >= this.#chunk.length;
  }

  /** Whether `take` has gathered a part of a piece. */
  get hasPartial(): boolean {
    return this.#partial !== undefined;
  }

  /** Goes on to the next chunk; the last one must be used up. */
  load(chunk: Uint8Array): void {
    this.#chunkOffset += this.#at;
    // A Buffer's slice() does not copy, and its views are Buffers: work on a plain array of the same memory.
    this.#chunk = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#at = 0;
  }

  /** Takes up to `limit` bytes as a view. */
  takeSome(limit: number): Uint8Array {
    const end = Math.min(this.#chunk.length, this.#at + limit);
    const bytes = this.#chunk.subarray(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /**
   * Takes exactly `size` bytes: a view, or a copy when they come in several chunks. Undefined until all are there; the
   * next call must ask for the same size.
   */
  take(size: number): Uint8Array | undefined {
    if (this.#partial === undefined) {
      if (this.#chunk.length - this.#at >= size) return this.takeSome(size);
      this.#partial = new Uint8Array(size);
    }
    const bytes = this.takeSome(size - this.#filled);
    this.#partial.set(bytes, this.#filled);
    this.#filled += bytes.length;
    if (this.#filled < size) return undefined;
    const whole = this.#partial;
    this.#partial = undefined;
    this.#filled = 0;
    return whole;
  }
}
