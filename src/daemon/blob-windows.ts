/**
 * Blobs that are read from the start to the end in small pieces: fetched in large ones.
 *
 * @module
 */
import { SingleFlight } from "../async/index.ts";
import type { BlobSource, ByteRange, ReadOptions } from "../blob/index.ts";

/** As much of a blob as one request asks for. */
const WINDOW_BYTES = 4 << 20;
const MAX_WINDOWS = 4;

/** Keeps the last windows of all blobs in memory; the oldest goes first. */
export class BlobWindows {
  readonly #windows = new Map<string, Uint8Array>();
  readonly #flights = new SingleFlight<string, Uint8Array>();

  /** Reads a range. The result is the caller's. @throws {EsgzError} as `open` and `BlobSource.read()` */
  async read(
    blob: { readonly key: string; readonly size: number; readonly open: () => Promise<BlobSource> },
    { offset, size }: ByteRange,
    { signal }: ReadOptions,
  ): Promise<Uint8Array> {
    const bytes = new Uint8Array(size);
    for (let done = 0; done < size;) {
      signal?.throwIfAborted();
      const index = Math.floor((offset + done) / WINDOW_BYTES);
      const window = await this.#window(blob, index);
      const from = offset + done - index * WINDOW_BYTES;
      const piece = window.subarray(from, from + size - done);
      bytes.set(piece, done);
      done += piece.length;
    }
    return bytes;
  }

  async #window(
    {
      key,
      size,
      open,
    }: { readonly key: string; readonly size: number; readonly open: () => Promise<BlobSource> },
    index: number,
  ): Promise<Uint8Array> {
    const name = `${key} ${index}`;
    const known = this.#windows.get(name);
    if (known !== undefined) return known;
    return await this.#flights.run(name, async () => {
      const offset = index * WINDOW_BYTES;
      const source = await open();
      const bytes = await source.read({ offset, size: Math.min(WINDOW_BYTES, size - offset) });
      this.#windows.set(name, bytes);
      for (const oldest of this.#windows.keys()) {
        if (this.#windows.size <= MAX_WINDOWS) break;
        this.#windows.delete(oldest);
      }
      return bytes;
    });
  }
}
