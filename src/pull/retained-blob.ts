/**
 * A blob that remembers what was read of its end, so that the bytes which came with an index are not asked for again.
 *
 * @module
 */
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";

/** A bound, common to several blobs, on what they may remember. */
export interface RetentionBudget {
  /** Bytes that may still be kept. */
  bytes: number;
}

/** Counts what goes over the wire. */
export interface WireObserver {
  onRequest(): void;
  onBytes(size: number): void;
}

/** Wraps a blob. What `read` brought is remembered as far as it makes up an unbroken end, and not asked for again. */
export class RetainedBlob implements BlobSource {
  readonly size: number;
  readonly #blob: BlobSource;
  readonly #budget: RetentionBudget;
  readonly #observer: WireObserver;
  #tail: Uint8Array = NO_BYTES;

  constructor(
    blob: BlobSource,
    options: { readonly budget: RetentionBudget; readonly observer: WireObserver },
  ) {
    this.size = blob.size;
    this.#blob = blob;
    this.#budget = options.budget;
    this.#observer = options.observer;
  }

  /** The bytes from {@linkcode RetainedBlob.tailOffset} to the end that are at hand. */
  get tail(): Uint8Array {
    return this.#tail;
  }

  /** Where the remembered end begins; the size if nothing is remembered. */
  get tailOffset(): number {
    return this.size - this.#tail.length;
  }

  async read(range: ByteRange, options?: ReadOptions): Promise<Uint8Array> {
    if (range.offset >= this.tailOffset && range.offset + range.size <= this.size) {
      const from = range.offset - this.tailOffset;
      return this.#tail.subarray(from, from + range.size);
    }
    this.#observer.onRequest();
    const bytes = await this.#blob.read(range, options);
    this.#observer.onBytes(bytes.length);
    this.#remember(range.offset, bytes);
    return bytes;
  }

  async *stream(range: ByteRange, options?: ReadOptions): AsyncIterable<Uint8Array> {
    const tail = this.#tail;
    const end = range.offset + range.size;
    const wireEnd = end > this.size ? end : Math.max(range.offset, Math.min(end, this.size - tail.length));
    if (wireEnd > range.offset || tail.length === 0) {
      this.#observer.onRequest();
      const wire = { offset: range.offset, size: wireEnd - range.offset };
      for await (const bytes of this.#blob.stream(wire, options)) {
        this.#observer.onBytes(bytes.length);
        yield bytes;
      }
    }
    if (wireEnd < end) yield tail.subarray(wireEnd - this.size + tail.length, end - this.size + tail.length);
  }

  /** Forgets what was remembered. */
  forget(): void {
    this.#budget.bytes += this.#tail.length;
    this.#tail = NO_BYTES;
  }

  #remember(offset: number, bytes: Uint8Array): void {
    const from = this.tailOffset;
    if (offset >= from || offset + bytes.length < from) return;
    const added = bytes.subarray(0, from - offset);
    if (added.length > this.#budget.bytes) return;
    this.#budget.bytes -= added.length;
    this.#tail = this.#tail.length === 0 ? added : concatBytes([added, this.#tail]);
  }
}

/** A blob of which only the way over the wire is counted. */
export function observedBlob(blob: BlobSource, observer: WireObserver): BlobSource {
  return new RetainedBlob(blob, { budget: { bytes: 0 }, observer });
}
