/**
 * An EROFS image in a file, read in pages, of which few are kept: a reader of a large tree takes little memory.
 *
 * @module
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { ErofsSource } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";

const PAGE_SIZE = 32 * 1024;
const DEFAULT_PAGES = 128;

/** Reads synchronously; from the page cache of the kernel that takes microseconds. */
export class MetaFile implements ErofsSource, Disposable {
  /** Bytes. */
  readonly size: number;
  readonly #path: string;
  readonly #fd: number;
  readonly #maxPages: number;
  /** By number, the one that was used last at the end. */
  readonly #pages = new Map<number, Uint8Array>();
  #isClosed = false;

  /**
   * Opens a file.
   *
   * @param options.maxPages pages of 32 KiB to keep; default 128, which is 4 MiB.
   * @throws errors of the system.
   */
  constructor(path: string, options: { readonly maxPages?: number } = {}) {
    this.#path = path;
    this.#maxPages = options.maxPages ?? DEFAULT_PAGES;
    this.#fd = openSync(path, "r");
    this.size = fstatSync(this.#fd).size;
  }

  /** Bytes that lie inside the file; a view that nobody changes. */
  read(offset: number, size: number): Uint8Array {
    const first = Math.floor(offset / PAGE_SIZE);
    const within = offset - first * PAGE_SIZE;
    if (within + size <= PAGE_SIZE) return this.#page(first).subarray(within, within + size);
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size;) {
      const number = Math.floor((offset + at) / PAGE_SIZE);
      const part = this.#page(number).subarray(offset + at - number * PAGE_SIZE);
      const piece = part.subarray(0, size - at);
      if (piece.length === 0) throw this.#shrunk();
      bytes.set(piece, at);
      at += piece.length;
    }
    return bytes;
  }

  /** Closes the file. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#pages.clear();
    closeSync(this.#fd);
  }

  #page(number: number): Uint8Array {
    const known = this.#pages.get(number);
    if (known !== undefined) {
      this.#pages.delete(number);
      this.#pages.set(number, known);
      return known;
    }
    const start = number * PAGE_SIZE;
    const page = new Uint8Array(Math.max(0, Math.min(PAGE_SIZE, this.size - start)));
    for (let done = 0; done < page.length;) {
      const got = readSync(this.#fd, page, done, page.length - done, start + done);
      if (got === 0) throw this.#shrunk();
      done += got;
    }
    this.#pages.set(number, page);
    for (const [oldest] of this.#pages) {
      if (this.#pages.size <= this.#maxPages) break;
      this.#pages.delete(oldest);
    }
    return page;
  }

  #shrunk(): EsgzError {
    const text = `Cannot read "${this.#path}": expected ${this.size} bytes, got fewer`;
    return new EsgzError("IO_FAILED", text);
  }
}
