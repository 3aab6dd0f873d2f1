/**
 * Buffers that are used again: fresh memory costs more than filling it.
 *
 * @module
 */

// What ten downloads at a time need; what goes beyond is left to the garbage collector.
const MAX_KEPT = 20;

/** Buffers of one size. */
export class BufferPool {
  /** The size of every buffer, in bytes. */
  readonly bufferSize: number;
  readonly #kept: Buffer[] = [];

  constructor(bufferSize: number) {
    this.bufferSize = bufferSize;
  }

  /** A buffer with whatever bytes. The caller owns it until {@linkcode BufferPool.give}. */
  take(): Buffer {
    return this.#kept.pop() ?? Buffer.allocUnsafeSlow(this.bufferSize);
  }

  /** Takes a buffer back that nobody reads or writes any more. */
  give(buffer: Buffer): void {
    if (this.#kept.length < MAX_KEPT) this.#kept.push(buffer);
  }
}
