/**
 * Memory for compressed bytes in flight: bounded, shared with the workers, used again and again.
 *
 * @module
 */
import { Semaphore } from "../async/index.ts";

/** A buffer in use. */
export interface BufferLease {
  /** At least as large as asked for. */
  readonly buffer: SharedArrayBuffer;
  /** Gives it back, once nobody reads or writes it any more. */
  release(): void;
}

/**
 * Hands out buffers as long as all of them together stay within the budget. Buffers of the usual size are kept; larger
 * ones, for members that need it, are made for the purpose and count with their size.
 */
export class BufferBudget {
  readonly #slotSize: number;
  readonly #free: SharedArrayBuffer[] = [];
  readonly #bytes: Semaphore;

  constructor(options: { readonly totalBytes: number; readonly slotSize: number }) {
    this.#slotSize = options.slotSize;
    this.#bytes = new Semaphore(options.totalBytes);
  }

  /** Waits for a buffer. Requests are served by priority (higher first; default 0), then in their order. */
  async acquire(
    size: number,
    options: { readonly signal?: AbortSignal | undefined; readonly priority?: number } = {},
  ): Promise<BufferLease> {
    const weight = Math.max(size, this.#slotSize);
    const permit = await this.#bytes.acquire({ ...options, weight });
    const usual = size <= this.#slotSize;
    const buffer = (usual ? this.#free.pop() : undefined) ?? new SharedArrayBuffer(weight);
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      if (usual) this.#free.push(buffer);
      permit.release();
    };
    return { buffer, release };
  }

  /** Gives up the buffers that nobody uses. */
  trim(): void {
    this.#free.length = 0;
  }
}
