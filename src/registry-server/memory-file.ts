/**
 * Bytes that grow at their end, kept as the pieces they came in.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { ContentReader, StoredStat, UploadWriter } from "./registry-storage.ts";

/** A file in memory, for content and for uploads. Closing it does nothing. */
export class MemoryFile implements ContentReader, UploadWriter {
  readonly #clock: Clock;
  #parts: Uint8Array[] = [];
  /** Where each part begins. */
  #offsets: number[] = [];
  #size = 0;
  #changedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#changedMs = clock.wallMs();
  }

  get size(): number {
    return this.#size;
  }

  /** Size and age. */
  stat(): StoredStat {
    return { size: this.#size, changedMs: this.#changedMs };
  }

  /** Makes the file as young as if it had just been written. */
  touch(): void {
    this.#changedMs = this.#clock.wallMs();
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#parts.push(part);
      this.#offsets.push(this.#size);
      this.#size += part.length;
    }
    this.touch();
  }

  async truncate(size: number): Promise<void> {
    while (this.#size > size) {
      const part = this.#parts.pop();
      const offset = this.#offsets.pop() ?? 0;
      this.#size = offset;
      if (part !== undefined && offset < size) await this.append([part.subarray(0, size - offset)]);
    }
  }

  async read(target: Uint8Array, offset: number): Promise<number> {
    let filled = 0;
    for (let at = this.#partAt(offset); filled < target.length && at < this.#parts.length; at += 1) {
      const part = this.#parts[at];
      if (part === undefined) break;
      const skip = offset + filled - (this.#offsets[at] ?? 0);
      const piece = part.subarray(skip, skip + target.length - filled);
      target.set(piece, filled);
      filled += piece.length;
    }
    return filled;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is held outside of this object.
  }

  /** The index of the part that holds `offset`; the number of parts if none does. */
  #partAt(offset: number): number {
    if (offset >= this.#size) return this.#parts.length;
    let low = 0;
    let high = this.#offsets.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#offsets[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}
