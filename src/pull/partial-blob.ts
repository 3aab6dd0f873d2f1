/**
 * A blob file that grows in parts, in any order, over several runs.
 *
 * ```text
 * NAME          the bytes, at their places
 * NAME.parts    one line per part that is complete: "OFFSET SIZE\n"
 * NAME.owner    the process that writes it
 * ```
 *
 * @module
 */
import { constants, readFileSync } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import type { BlobPart } from "./blob-parts.ts";
import { releaseOwnership, takeOwnership } from "./pull-owner.ts";

/** An unfinished blob on the disk. */
export class PartialBlob implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #log: FileHandle;
  readonly #complete: Set<string>;

  private constructor(
    path: string,
    options: { readonly file: FileHandle; readonly log: FileHandle; readonly complete: Set<string> },
  ) {
    this.#path = path;
    this.#file = options.file;
    this.#log = options.log;
    this.#complete = options.complete;
  }

  /** Opens what an earlier run left, or begins; undefined while another pull writes it. */
  static async open(path: string): Promise<PartialBlob | undefined> {
    if (takeOwnership(ownerOf(path)) !== undefined) return undefined;
    try {
      return await PartialBlob.#openOwn(path);
    } catch (error) {
      releaseOwnership(ownerOf(path));
      throw error;
    }
  }

  static async #openOwn(path: string): Promise<PartialBlob> {
    const { O_CREAT, O_RDWR, O_APPEND, O_NOFOLLOW } = constants;
    const file = await open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o644);
    try {
      const log = await open(`${path}.parts`, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, 0o600);
      const lines = readFileSync(`${path}.parts`, "latin1").split("\n");
      return new PartialBlob(path, { file, log, complete: new Set(lines) });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** The number of parts that earlier runs completed. */
  get completeParts(): number {
    return [...this.#complete].filter((line) => line !== "").length;
  }

  /** Reads a part that is complete; false if it is not. */
  async read(part: BlobPart, into: Uint8Array): Promise<boolean> {
    if (!this.#complete.has(lineOf(part))) return false;
    for (let done = 0; done < part.size;) {
      const { bytesRead } = await this.#file.read(into, done, part.size - done, part.offset + done);
      if (bytesRead === 0) return false;
      done += bytesRead;
    }
    return true;
  }

  /** Writes a part, then remembers that it is complete. */
  async write(part: BlobPart, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < part.size;) {
      const { bytesWritten } = await this.#file.write(bytes, done, part.size - done, part.offset + done);
      done += bytesWritten;
    }
    await this.#log.write(`${lineOf(part)}\n`);
  }

  /** Forgets everything. The blob is to be closed then. */
  async discard(): Promise<void> {
    await rm(this.#path, { force: true });
    await rm(`${this.#path}.parts`, { force: true });
  }

  /** Brings the bytes to the disk and drops the list of parts; the file is then at its path, complete. */
  async complete(): Promise<void> {
    await this.#file.sync();
    await rm(`${this.#path}.parts`, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
    await this.#log.close();
    releaseOwnership(ownerOf(this.#path));
  }
}

function ownerOf(path: string): string {
  return `${path}.owner`;
}

function lineOf({ offset, size }: BlobPart): string {
  return `${offset} ${size}`;
}
