/**
 * Worker side: the tar of a layer without an index, written file by file into a staging directory, from where files
 * are moved to their places once the whole layer has been verified.
 *
 * @module
 */
import { closeSync, constants, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { NO_BYTES } from "../bytes/index.ts";
import { TarDecoder, type TarEntry } from "../tar/index.ts";
import { applyToFile, creationMode, type MetadataContext } from "./node-metadata.ts";

const CREATE: number = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** The stretch of the tar whose files share a staging subdirectory, so that no directory grows huge. */
const SUBDIRECTORY_SPAN = 16 << 20;

/** The place of a staged file below its layer's staging directory. */
export function stagedName(tarOffset: number): string {
  return join(String(Math.floor(tarOffset / SUBDIRECTORY_SPAN)), String(tarOffset));
}

/** Writes one layer's tar into a directory of its own, which must be empty. */
export class LayerStager {
  readonly #directory: string;
  readonly #context: MetadataContext;
  readonly #decoder = new TarDecoder();
  readonly #entries: TarEntry[] = [];
  #subdirectory = "";
  #current: { readonly fd: number; readonly entry: TarEntry } | undefined;

  constructor(directory: string, context: MetadataContext) {
    this.#directory = directory;
    this.#context = context;
  }

  /**
   * Takes the next bytes of the tar.
   *
   * @throws {EsgzError} `TAR_INVALID` and the decoder's other codes.
   */
  push(bytes: Uint8Array): void {
    for (const event of this.#decoder.push(bytes)) {
      if (event.kind === "entry") this.#begin(event.entry);
      else if (event.kind === "data") this.#write(event.bytes);
    }
  }

  /** Ends the tar; returns all entries. */
  finish(): TarEntry[] {
    for (const event of this.#decoder.finish()) {
      if (event.kind === "entry") this.#begin(event.entry);
      else if (event.kind === "data") this.#write(event.bytes);
    }
    this.#endFile();
    return this.#entries;
  }

  /** Closes the file that is open, if any. */
  close(): void {
    if (this.#current !== undefined) closeSync(this.#current.fd);
    this.#current = undefined;
  }

  #begin(entry: TarEntry): void {
    this.#endFile();
    this.#entries.push(detached(entry));
    if (entry.type !== "reg" || entry.size === 0) return;
    const path = join(this.#directory, stagedName(entry.dataOffset));
    if (dirname(path) !== this.#subdirectory) {
      this.#subdirectory = dirname(path);
      mkdirSync(this.#subdirectory, 0o700);
    }
    this.#current = { fd: openSync(path, CREATE, creationMode(entry.mode)), entry };
  }

  #write(bytes: Uint8Array): void {
    if (this.#current === undefined) return;
    for (let done = 0; done < bytes.length;) {
      done += writeSync(this.#current.fd, bytes, done, bytes.length - done);
    }
  }

  #endFile(): void {
    if (this.#current === undefined) return;
    const { fd, entry } = this.#current;
    try {
      applyToFile(
        fd,
        { ...entry, mode: entry.mode & 0o7777 },
        { path: entry.name, fresh: true, context: this.#context },
      );
    } finally {
      this.close();
    }
  }
}

/** An entry that keeps none of the tar's memory: a message would take whole buffers along. */
function detached(entry: TarEntry): TarEntry {
  const xattrs = new Map(Array.from(entry.xattrs, ([name, value]) => [name, new Uint8Array(value)]));
  return { ...entry, xattrs, rawHeader: NO_BYTES };
}
