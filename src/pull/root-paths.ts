/**
 * Paths below the directory that a pull fills, as bytes.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";

const MAX_PATH_BYTES = 64 << 10;

/** Joins the directory with paths inside it. */
export class RootPaths {
  readonly #buffer: Buffer;
  readonly #prefix: number;

  constructor(directory: string) {
    const prefix = encodePathText(`${directory}/`);
    this.#prefix = prefix.length;
    this.#buffer = Buffer.alloc(prefix.length + MAX_PATH_BYTES);
    this.#buffer.set(prefix);
  }

  /** The full path: a view that the next call overwrites, for use in synchronous calls. */
  of(path: Uint8Array): Buffer {
    this.#buffer.set(path, this.#prefix);
    return this.#buffer.subarray(0, this.#prefix + path.length);
  }

  /** The full path of a path text, in memory of its own. */
  ofText(path: string): Buffer {
    return Buffer.from(this.of(encodePathText(path)));
  }
}
