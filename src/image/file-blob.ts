/**
 * A blob that is a file, or a run of bytes inside one.
 *
 * @module
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { assertRangeInside, type BlobSource, type ByteRange, type ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { ioFailure } from "./io-failure.ts";

/** Bytes of one piece of a stream: large enough that the cost of a call disappears. */
const PIECE_BYTES = 1 << 20;

/** Which part of the file the blob is. */
export interface FileBlobOptions {
  /** The number of bytes in the blob. */
  readonly size: number;
  /** Where in the file it starts; without it the blob is the whole file, which must have exactly `size` bytes. */
  readonly fileOffset?: number | undefined;
}

/**
 * A file-backed blob. The file is opened at the first read and stays open until the blob is disposed; reads may run
 * concurrently. Disposing while reads are under way lets them finish.
 */
export class FileBlob implements BlobSource, AsyncDisposable {
  readonly size: number;
  readonly #path: string;
  readonly #fileOffset: number | undefined;
  #handle: Promise<FileHandle> | undefined;
  #closed = false;

  constructor(path: string, options: FileBlobOptions) {
    this.#path = path;
    this.size = options.size;
    this.#fileOffset = options.fileOffset;
  }

  /** @throws {EsgzError} `RANGE_INVALID`, `SIZE_MISMATCH`, `IMAGE_NOT_FOUND`, `IO_FAILED` */
  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    assertRangeInside(range, this.size);
    options.signal?.throwIfAborted();
    const handle = await this.#open();
    const bytes = new Uint8Array(range.size);
    const start = (this.#fileOffset ?? 0) + range.offset;
    for (let at = 0; at < bytes.length;) {
      const count = await this.#readSome(handle, bytes.subarray(at), start + at);
      options.signal?.throwIfAborted();
      if (count === 0) throw this.#sizeMismatch(range.offset + at);
      at += count;
    }
    return bytes;
  }

  /** Pieces of 1 MiB; each is a new array that the consumer may keep. Errors as `read`. */
  async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    assertRangeInside(range, this.size);
    const end = range.offset + range.size;
    for (let offset = range.offset; offset < end; offset += PIECE_BYTES) {
      yield await this.read({ offset, size: Math.min(PIECE_BYTES, end - offset) }, options);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.then(
      (opened) => opened.close(),
      () => undefined,
    );
  }

  async #open(): Promise<FileHandle> {
    if (this.#closed) throw new EsgzError("INTERNAL", `Cannot read "${this.#path}": it has been closed`);
    this.#handle ??= this.#openChecked();
    return await this.#handle;
  }

  async #openChecked(): Promise<FileHandle> {
    let handle: FileHandle;
    try {
      // A FIFO in place of the file must not block.
      handle = await open(this.#path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (cause) {
      throw ioFailure("open blob", this.#path, cause);
    }
    try {
      const { size } = await handle.stat();
      const wanted = (this.#fileOffset ?? 0) + this.size;
      if (size < wanted || (this.#fileOffset === undefined && size !== wanted))
        throw this.#sizeMismatch(size);
      return handle;
    } catch (error) {
      await handle.close();
      throw ioFailure("open blob", this.#path, error);
    }
  }

  async #readSome(handle: FileHandle, into: Uint8Array, position: number): Promise<number> {
    try {
      const { bytesRead } = await handle.read(into, 0, into.length, position);
      return bytesRead;
    } catch (cause) {
      throw ioFailure("read blob", this.#path, cause);
    }
  }

  #sizeMismatch(found: number): EsgzError {
    return new EsgzError(
      "SIZE_MISMATCH",
      `Cannot read blob "${this.#path}": expected ${this.size} bytes, got ${found}`,
      { details: { expected: this.size, found } },
    );
  }
}
