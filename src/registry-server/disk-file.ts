/**
 * Open files of a registry's directory.
 *
 * @module
 */
import type { FileHandle } from "node:fs/promises";
import { storageError } from "./registry-problem.ts";
import type { ContentReader, UploadWriter } from "./registry-storage.ts";

/** Content that lies in a file. Owns the handle. */
export class DiskContent implements ContentReader {
  readonly size: number;
  readonly #handle: FileHandle;

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.size = size;
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return readFully(this.#handle, target, offset);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** An upload that lies in a file. Owns the handle. */
export class DiskUpload implements UploadWriter {
  readonly #handle: FileHandle;
  #size: number;

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  async append(parts: readonly Uint8Array[]): Promise<void> {
    try {
      let at = this.#size;
      for (let rest = [...parts]; rest.length > 0;) {
        const { bytesWritten } = await this.#handle.writev(rest, at);
        at += bytesWritten;
        rest = withoutFirst(rest, bytesWritten);
      }
      this.#size = at;
    } catch (error) {
      await this.#handle.truncate(this.#size).catch(() => undefined);
      throw storageError("write an upload", error);
    }
  }

  async truncate(size: number): Promise<void> {
    await this.#handle.truncate(size);
    this.#size = size;
  }

  read(target: Uint8Array, offset: number): Promise<number> {
    return readFully(this.#handle, target, offset);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

async function readFully(handle: FileHandle, target: Uint8Array, offset: number): Promise<number> {
  try {
    for (let filled = 0; ;) {
      const { bytesRead } = await handle.read(target, filled, target.length - filled, offset + filled);
      filled += bytesRead;
      if (bytesRead === 0 || filled === target.length) return filled;
    }
  } catch (error) {
    throw storageError("read content", error);
  }
}

/** What remains of the parts after `count` bytes were written. */
function withoutFirst(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  return parts.flatMap((part) => {
    const rest = part.subarray(Math.min(skip, part.length));
    skip -= part.length - rest.length;
    return rest.length === 0 ? [] : [rest];
  });
}
