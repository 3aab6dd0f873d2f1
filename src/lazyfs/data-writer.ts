/**
 * Bytes of files on their way to the data device: gathered to large writes, hashed as chunks.
 *
 * @module
 */
import { hash } from "node:crypto";
import { writeSync } from "node:fs";
import { StagedRows } from "./staged-rows.ts";

/** The most bytes of a chunk, and of a write. */
const WINDOW_SIZE = 4 << 20;
/** A gap of this many bytes or more stays a hole; a smaller one is written as zeros together with its neighbours. */
const HOLE_SIZE = 4096;

/** Writes at ascending places of a file, through a window of 4 MiB. */
export class DataWriter {
  readonly #fd: number;
  readonly #window = new Uint8Array(WINDOW_SIZE);
  readonly #rows = new StagedRows();
  /** The place of the window's first byte. */
  #start = 0;
  #used = 0;
  /** Where in the window the chunk begins that is being gathered; -1 for none. */
  #chunkStart = -1;
  #written = 0;

  /** @param fd stays its owner's */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Bytes that were written to the file so far. */
  get written(): number {
    return this.#written;
  }

  /** Takes bytes for a place that is not in front of any earlier one; the bytes are copied. */
  write(place: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      this.#moveTo(place + done);
      const size = Math.min(bytes.length - done, WINDOW_SIZE - this.#used);
      this.#window.set(bytes.subarray(done, done + size), this.#used);
      if (this.#chunkStart < 0) this.#chunkStart = this.#used;
      this.#used += size;
      done += size;
    }
  }

  /** Ends the chunk that is being gathered: what follows belongs to another file. */
  endChunk(): void {
    if (this.#chunkStart < 0) return;
    const bytes = this.#window.subarray(this.#chunkStart, this.#used);
    const digest = hash("sha256", bytes, "buffer");
    this.#rows.add({ place: this.#start + this.#chunkStart, size: bytes.length, digest });
    this.#chunkStart = -1;
  }

  /** Writes what is left; the rows of all chunks. */
  finish(): Uint8Array<ArrayBuffer> {
    this.#flush();
    return this.#rows.encode();
  }

  /** Makes room at a place for at least one byte. */
  #moveTo(place: number): void {
    const offset = place - this.#start;
    const gap = offset - this.#used;
    if (gap > 0) this.endChunk();
    if (gap >= HOLE_SIZE || offset >= WINDOW_SIZE) {
      this.#flush();
      this.#start = place;
      return;
    }
    this.#window.fill(0, this.#used, offset);
    this.#used = offset;
  }

  #flush(): void {
    this.endChunk();
    for (let done = 0; done < this.#used;) {
      done += writeSync(this.#fd, this.#window, done, this.#used - done, this.#start + done);
    }
    this.#written += this.#used;
    this.#start += this.#used;
    this.#used = 0;
  }
}
