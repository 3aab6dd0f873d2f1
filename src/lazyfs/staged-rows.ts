/**
 * The chunks of a layer that a worker wrote, as one run of bytes that changes threads.
 *
 * ```text
 * offset  size  what, for each chunk
 * 0       8     place on the data device, a double
 * 8       4     size in bytes
 * 12      32    SHA-256
 *         = 44
 * ```
 *
 * Numbers are little-endian.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import type { StagedChunk } from "../store/index.ts";

const ROW_SIZE = 44;
const DIGEST_OFFSET = 12;

/** Gathers rows. */
export class StagedRows {
  #bytes = new Uint8Array(1024 * ROW_SIZE);
  #count = 0;

  /** Appends a row. */
  add({ place, size, digest }: StagedChunk): void {
    const offset = this.#count * ROW_SIZE;
    if (offset === this.#bytes.length) {
      const larger = new Uint8Array(this.#bytes.length * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const view = viewOf(this.#bytes);
    view.setFloat64(offset, place, true);
    view.setUint32(offset + 8, size, true);
    this.#bytes.set(digest, offset + DIGEST_OFFSET);
    this.#count += 1;
  }

  /** All rows, in memory of their own. */
  encode(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#count * ROW_SIZE);
  }
}

/** The rows in encoded bytes; digests are views. */
export function* decodeStagedRows(bytes: Uint8Array): Generator<StagedChunk> {
  const view = viewOf(bytes);
  for (let offset = 0; offset < bytes.length; offset += ROW_SIZE) {
    yield {
      place: view.getFloat64(offset, true),
      size: view.getUint32(offset + 8, true),
      digest: bytes.subarray(offset + DIGEST_OFFSET, offset + ROW_SIZE),
    };
  }
}
