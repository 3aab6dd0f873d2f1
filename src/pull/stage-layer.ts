/**
 * Worker side: the tar of a layer without an index, written file by file into a staging directory, from where files
 * are moved to their places once the whole layer has been verified.
 *
 * @module
 */
import { closeSync, constants, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { TarDecoder, type TarEntry } from "../tar/index.ts";
import { applyToFile, creationMode, type MetadataContext } from "./node-metadata.ts";
import { StageRecordWriter } from "./stage-record.ts";

const CREATE: number = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** The stretch of the tar whose files share a staging subdirectory, so that no directory grows huge. */
const SUBDIRECTORY_SPAN = 16 << 20;

/** The place of a staged file below its layer's staging directory. */
export function stagedName(tarOffset: number): string {
  return join(String(Math.floor(tarOffset / SUBDIRECTORY_SPAN)), String(tarOffset));
}

/** Where a layer is staged. */
export interface StagePlace {
  /** For its files: a directory that is empty. */
  readonly directory: string;
  /** For its entries: a file that is not there. */
  readonly record: string;
}

/** Writes one layer's tar into a directory of its own, and its entries beside. */
export class LayerStager {
  readonly #directory: string;
  readonly #context: MetadataContext;
  readonly #decoder = new TarDecoder();
  readonly #record: StageRecordWriter;
  #subdirectory = "";
  #current: { readonly fd: number; readonly entry: TarEntry } | undefined;

  constructor({ directory, record }: StagePlace, context: MetadataContext) {
    this.#directory = directory;
    this.#record = new StageRecordWriter(record);
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

  /** Ends the tar and the record of its entries. */
  finish(): void {
    for (const event of this.#decoder.finish()) {
      if (event.kind === "entry") this.#begin(event.entry);
      else if (event.kind === "data") this.#write(event.bytes);
    }
    this.#endFile();
    this.#record.finish();
  }

  /** Closes the file that is open, if any. */
  close(): void {
    if (this.#current !== undefined) closeSync(this.#current.fd);
    this.#current = undefined;
  }

  #begin(entry: TarEntry): void {
    this.#endFile();
    this.#record.add(entry);
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
