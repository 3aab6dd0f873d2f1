/**
 * Bytes that arrive in pieces of any size and are taken in pieces of another.
 *
 * @module
 */
import { concatBytes, NO_BYTES } from "./byte-arrays.ts";

/** A first-in, first-out queue of bytes. Pushed arrays are kept, not copied: do not change them afterwards. */
export class ByteQueue {
  #parts: Uint8Array[] = [];
  #head = 0;
  #size = 0;

  /** The number of bytes inside. */
  get size(): number {
    return this.#size;
  }

  /** Appends bytes. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }

  /** Takes exactly `size` bytes, or undefined if there are fewer. A view where the bytes lie in one part, else a copy. */
  take(size: number): Uint8Array | undefined {
    if (size > this.#size) return undefined;
    const parts: Uint8Array[] = [];
    for (let missing = size; missing > 0;) {
      const part = this.takeSome(missing);
      missing -= part.length;
      parts.push(part);
    }
    return concatBytes(parts);
  }

  /** Takes the next contiguous bytes, at most `limit`; empty only if the queue is. Never copies. */
  takeSome(limit: number): Uint8Array {
    const first = this.#parts[this.#head];
    if (first === undefined || limit <= 0) return NO_BYTES;
    if (first.length <= limit) {
      this.#dropFirst();
      this.#size -= first.length;
      return first;
    }
    this.#parts[this.#head] = first.subarray(limit);
    this.#size -= limit;
    return first.subarray(0, limit);
  }

  #dropFirst(): void {
    this.#parts[this.#head] = NO_BYTES;
    this.#head += 1;
    if (this.#head < 1024 && this.#head < this.#parts.length) return;
    this.#parts = this.#parts.slice(this.#head);
    this.#head = 0;
  }
}
