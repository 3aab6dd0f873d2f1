/**
 * A blob: an immutable run of bytes of known size, readable in ranges, wherever it lives.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** A run of bytes: `size` bytes from `offset` on. */
export interface ByteRange {
  /** The first byte, counted from the start of the blob. */
  readonly offset: number;
  /** The number of bytes. */
  readonly size: number;
}

/** What every read takes. */
export interface ReadOptions {
  /** Ends the read early; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A readable blob. The minimum that an implementer gives; the rest is derived. */
export interface BlobSource {
  /** The number of bytes in the blob. */
  readonly size: number;
  /**
   * Reads exactly the range.
   *
   * @throws {EsgzError} `RANGE_INVALID` if the range does not lie inside the blob; `SIZE_MISMATCH` if the medium
   * has fewer bytes than it promised; codes of the medium otherwise.
   */
  read(range: ByteRange, options?: ReadOptions): Promise<Uint8Array>;
  /**
   * Streams exactly the range, in pieces of any size. Errors as {@linkcode BlobSource.read}. A consumer that stops
   * early must end the iteration (`return`), which releases the medium.
   */
  stream(range: ByteRange, options?: ReadOptions): AsyncIterable<Uint8Array>;
}

/** A blob that lies in memory. */
export class MemoryBlob implements BlobSource {
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.size = bytes.length;
  }

  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    assertRangeInside(range, this.size);
    return this.#bytes.subarray(range.offset, range.offset + range.size);
  }

  async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    if (range.size > 0) yield await this.read(range, options);
  }
}

/** The range of a whole blob. */
export function wholeRange(blob: { readonly size: number }): ByteRange {
  return { offset: 0, size: blob.size };
}

/**
 * Checks that a range lies inside a blob of `size` bytes.
 *
 * @throws {EsgzError} `RANGE_INVALID` otherwise.
 */
export function assertRangeInside(range: ByteRange, size: number): void {
  const { offset, size: length } = range;
  const valid =
    Number.isSafeInteger(offset) &&
    Number.isSafeInteger(length) &&
    offset >= 0 &&
    length >= 0 &&
    offset + length <= size;
  if (valid) return;
  throw new EsgzError(
    "RANGE_INVALID",
    `Cannot read blob: expected a range inside ${size} bytes, got ${length} bytes at ${offset}`,
  );
}
