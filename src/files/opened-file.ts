/**
 * An open file that is opened at once: what `open()` of node:fs/promises gives has waited for another thread.
 *
 * @module
 */
import { type BigIntStats, close, fdatasync, fstat, fsync, ftruncate, openSync, read, writev } from "node:fs";
import { promisify } from "node:util";

const calls = {
  close: promisify(close),
  datasync: promisify(fdatasync),
  read: promisify(read),
  stat: promisify(fstat),
  sync: promisify(fsync),
  truncate: promisify(ftruncate),
  writev: promisify(writev),
};

/** An open file. All methods reject with what the system refuses. */
export class OpenedFile implements AsyncDisposable {
  /** The descriptor, until the file is closed. */
  readonly fd: number;
  readonly #pending = new Set<Promise<unknown>>();
  #closed: Promise<void> | undefined;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** Opens a file, as `openSync()` of node:fs. @throws what the system refuses */
  static open(path: string, flags: string | number, mode = 0o644): OpenedFile {
    return new OpenedFile(openSync(path, flags, mode));
  }

  /** Reads bytes from a position of the file; how many, 0 at its end. */
  async read(target: Uint8Array, position: number): Promise<number> {
    const { bytesRead } = await this.#track(calls.read(this.#open, target, 0, target.length, position));
    return bytesRead;
  }

  /** Writes parts, one behind the other, to a position of the file; how many bytes of them. */
  async write(parts: readonly Uint8Array[], position: number): Promise<number> {
    const { bytesWritten } = await this.#track(calls.writev(this.#open, [...parts], position));
    return bytesWritten;
  }

  /** Gives the file another size in bytes. */
  async truncate(size: number): Promise<void> {
    await this.#track(calls.truncate(this.#open, size));
  }

  /** Waits until the disk has all of the file. */
  async sync(): Promise<void> {
    await this.#track(calls.sync(this.#open));
  }

  /** Waits until the disk has the file's bytes, and its size. */
  async datasync(): Promise<void> {
    await this.#track(calls.datasync(this.#open));
  }

  async stat(): Promise<BigIntStats> {
    return await this.#track(calls.stat(this.#open, { bigint: true }));
  }

  /** Closes the file when what is under way has ended. Further calls wait for the same. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Its number may be that of another file by now, when it is closed. */
  get #open(): number {
    if (this.#closed !== undefined) throw new Error("expected an open file, got a closed one");
    return this.fd;
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    await calls.close(this.fd);
  }

  async #track<T>(work: Promise<T>): Promise<T> {
    this.#pending.add(work);
    try {
      return await work;
    } finally {
      this.#pending.delete(work);
    }
  }
}
