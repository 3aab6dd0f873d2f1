/**
 * Where a reader takes an image from.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** An image that is read in pieces, synchronously. */
export interface ErofsSource {
  /** Bytes in the image. */
  readonly size: number;
  /** Exactly `size` bytes from `offset` on, which lie inside the image. The reader does not change or keep them. */
  read(offset: number, size: number): Uint8Array;
}

/** Reads an image with every place checked first: offsets in an image may be anything. */
export class CheckedSource {
  readonly #source: ErofsSource;

  constructor(image: Uint8Array | ErofsSource) {
    this.#source = image instanceof Uint8Array ? sourceFromBytes(image) : image;
  }

  /**
   * The bytes at a place.
   *
   * @throws {EsgzError} `EROFS_INVALID` for a place that is not inside the image, or a source that gives fewer bytes.
   */
  read(offset: number, size: number): Uint8Array {
    const end = offset + size;
    if (!(offset >= 0 && end <= this.#source.size))
      throw invalid(`at most ${this.#source.size} bytes`, `a place up to ${end}`);
    const bytes = this.#source.read(offset, size);
    if (bytes.length !== size) throw invalid(`${size} bytes at ${offset}`, `${bytes.length}`);
    return bytes;
  }
}

function sourceFromBytes(image: Uint8Array): ErofsSource {
  return { size: image.length, read: (offset, size) => image.subarray(offset, offset + size) };
}

function invalid(wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read EROFS image: expected ${wanted}, got ${found}`);
}
