/**
 * A layer's tar on disk, with an index of its entries, for reading them in another order.
 *
 * @module
 */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { cleanPath, paddingOf, TarDecoder, type TarEvent } from "../tar/index.ts";
import type { OrderedEntry } from "./entry-order.ts";

/** The bytes read from the file at once. */
const READ_SIZE = 1 << 20;

/** An entry of a {@link TarSpool}. */
export interface SpooledEntry extends OrderedEntry {
  /** The tar offset of its first header block. */
  readonly start: number;
  /** The tar offset behind its content and padding. */
  readonly end: number;
  /** How many raw pieces of global headers come before it. */
  readonly globals: number;
}

/** What spooling takes. */
export interface SpoolOptions {
  /** An existing directory. */
  readonly directory: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * A tar in a file that has no name: it is removed from its directory as soon as it is open, so that not even a killed
 * process leaves it behind.
 */
export class TarSpool implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #size: number;
  readonly #globals: readonly Uint8Array[];
  /** All entries, in the order of the tar. */
  readonly entries: readonly SpooledEntry[];

  private constructor(file: FileHandle, { size, index }: { size: number; index: SpoolIndex }) {
    this.#file = file;
    this.#size = size;
    this.#globals = index.globals;
    this.entries = index.entries;
  }

  /**
   * Writes a tar stream to disk and indexes it.
   *
   * @throws {EsgzError} `TAR_INVALID`, `NO_SPACE`, `IO_FAILED`, and what the stream throws.
   */
  static async create(tar: AsyncIterable<Uint8Array>, options: SpoolOptions): Promise<TarSpool> {
    const file = await openUnnamedFile(options.directory);
    try {
      const index = new SpoolIndex();
      let size = 0;
      for await (const chunk of tar) {
        options.signal?.throwIfAborted();
        index.push(chunk);
        await writeAll(file, chunk, size);
        size += chunk.length;
      }
      index.finish();
      return new TarSpool(file, { size, index });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The events of one entry, at whatever place it lies. */
  async *readEntry(
    entry: SpooledEntry,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<TarEvent[]> {
    const decoder = new TarDecoder();
    for (const bytes of this.#globals.slice(0, entry.globals)) Array.from(decoder.push(bytes));
    for await (const chunk of this.#read(entry.start, entry.end)) {
      options.signal?.throwIfAborted();
      yield Array.from(decoder.push(chunk));
    }
  }

  /** The events of the whole tar in its own order. */
  async *readAll(options: { readonly signal?: AbortSignal | undefined } = {}): AsyncGenerator<TarEvent[]> {
    const decoder = new TarDecoder();
    for await (const chunk of this.#read(0, this.#size)) {
      options.signal?.throwIfAborted();
      yield Array.from(decoder.push(chunk));
    }
    yield Array.from(decoder.finish());
  }

  async *#read(start: number, end: number): AsyncGenerator<Uint8Array> {
    for (let at = start; at < end;) {
      const chunk = new Uint8Array(Math.min(READ_SIZE, end - at));
      const { bytesRead } = await this.#file.read(chunk, 0, chunk.length, at);
      if (bytesRead === 0) {
        throw new EsgzError("IO_FAILED", `Cannot read spooled tar: expected ${end} bytes, got ${at}`);
      }
      yield chunk.subarray(0, bytesRead);
      at += bytesRead;
    }
  }

  /** Closes the file, which ends its existence. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/** Watches a tar go by and remembers where each entry lies. */
class SpoolIndex {
  readonly entries: SpooledEntry[] = [];
  readonly globals: Uint8Array[] = [];
  readonly #decoder = new TarDecoder({ sparse: "raw" });

  push(chunk: Uint8Array): void {
    for (const event of this.#decoder.push(chunk)) this.#see(event);
  }

  finish(): void {
    for (const event of this.#decoder.finish()) this.#see(event);
  }

  #see(event: TarEvent): void {
    if (event.kind === "global") this.globals.push(event.bytes.slice());
    if (event.kind !== "entry") return;
    const { entry } = event;
    this.entries.push({
      path: cleanPath(entry.name),
      type: entry.type,
      ...(entry.type === "hardlink" ? { target: cleanPath(entry.linkName) } : {}),
      start: entry.headerOffset,
      end: entry.dataOffset + entry.storedSize + paddingOf(entry.storedSize),
      globals: this.globals.length,
    });
  }
}

/** Opens a new file and takes away its name at once. */
async function openUnnamedFile(directory: string): Promise<FileHandle> {
  try {
    const place = await mkdtemp(join(directory, "esgz-convert-"));
    try {
      return await open(join(place, "layer.tar"), "wx+", 0o600);
    } finally {
      await rm(place, { recursive: true, force: true });
    }
  } catch (cause) {
    throw spoolError(cause);
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
      at += bytesWritten;
    }
  } catch (cause) {
    throw spoolError(cause);
  }
}

function spoolError(cause: unknown): EsgzError {
  const code = systemCodeOf(cause) === "ENOSPC" ? "NO_SPACE" : "IO_FAILED";
  return new EsgzError(code, `Cannot write spooled tar: ${messageOf(cause)}`, { cause });
}
