/**
 * Keeps the file `filled` true to its crash rule (filled-file.ts).
 *
 * @module
 */
import { dirname } from "node:path";
import { SingleFlight } from "../async/index.ts";
import { type OpenedFile, replaceFile, syncPath } from "../files/index.ts";
import type { CheckedMeta } from "./checked-meta.ts";
import { encodeFilled, type FilledRecord, fingerprintOf } from "./filled-file.ts";
import type { LayerBits } from "./layer-bits.ts";
import type { LayerPaths } from "./store-layout.ts";

/** What the file on the disk says; `unknown` if it is not to be believed. */
export type FilledState = "open" | "clean" | "unknown";

/** What a journal works on. */
export interface FilledJournalOptions {
  readonly paths: LayerPaths;
  /** The open data file; stays the caller's. */
  readonly data: OpenedFile;
  /** The layer's metadata, as it was when it was verified. */
  readonly meta: Pick<CheckedMeta, "fingerprint">;
  readonly bits: LayerBits;
  readonly state: FilledState;
  /** Whether the layer's files were made without waiting for the disk; the first checkpoint then waits. */
  readonly unsynced: boolean;
  readonly nextTemporary: () => string;
}

/** Writes `filled` for one open layer. */
export class FilledJournal {
  readonly #options: FilledJournalOptions;
  readonly #flights = new SingleFlight<"begin" | "checkpoint", void>();
  #state: FilledState;
  #unsynced: boolean;
  #written = new Set<number>();
  #writtenBytes = 0;
  #changed = false;

  constructor(options: FilledJournalOptions) {
    this.#options = options;
    this.#state = options.state;
    this.#unsynced = options.unsynced;
  }

  /** The bytes of chunks that a crash would lose, or make to be verified. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Makes sure that a crash from now on is noticed. To be awaited before the data file is touched. */
  async begin(): Promise<void> {
    if (this.#state === "open") return;
    await this.#flights.run("begin", async () => {
      if (this.#state !== "clean") await this.#options.data.datasync();
      await this.#write({});
      this.#state = "open";
    });
  }

  /** Notes that a chunk's bytes were written to the data file. */
  noteWritten(index: number, size: number): void {
    this.#written.add(index);
    this.#writtenBytes += size;
  }

  /** Notes that bits changed without a write: claims that were verified or dropped. */
  noteChanged(): void {
    this.#changed = true;
  }

  /**
   * Makes all chunks that were written before the call durable, and then their bits. Concurrent calls share the work.
   * If the system loses data on the way, the chunks concerned count as missing again.
   */
  async checkpoint(): Promise<void> {
    // A run under way may have begun before the last write: wait for it, then see what is left.
    await this.#flights.run("checkpoint", () => this.#checkpoint());
    if (this.#written.size > 0) await this.#flights.run("checkpoint", () => this.#checkpoint());
  }

  /** Ends the session: what is in the file is believed at the next opening, if nothing is left to verify. */
  async finish(): Promise<void> {
    if (this.#state === "clean" && this.#written.size === 0 && !this.#changed) return;
    await this.checkpoint();
    const { bits, data, meta } = this.#options;
    if (bits.claimed.count > 0) return;
    // What comes from now on may not be on the disk when the file says what is.
    const bitmap = this.#bitmap();
    // All of it, times too: after a power loss they must be those of the fingerprint.
    await data.sync();
    const clean = {
      data: fingerprintOf(await data.stat()),
      meta: meta.fingerprint,
    };
    await this.#write({ clean, bitmap });
    this.#state = "clean";
  }

  async #checkpoint(): Promise<void> {
    if (this.#written.size === 0 && !this.#changed && !this.#unsynced) return;
    const [written, bytes] = [this.#written, this.#writtenBytes];
    const bitmap = this.#bitmap();
    [this.#written, this.#writtenBytes, this.#changed] = [new Set(), 0, false];
    await this.#syncData(written);
    try {
      await this.#syncFiles();
      await this.#write({ bitmap });
      this.#state = "open";
    } catch (error) {
      // The data is safe; only the record is late.
      for (const index of written) this.#written.add(index);
      this.#writtenBytes += bytes;
      this.#changed = true;
      throw error;
    }
  }

  async #syncData(written: ReadonlySet<number>): Promise<void> {
    try {
      await this.#options.data.datasync();
    } catch (error) {
      // The kernel reports a lost write once and then forgets it: nothing since the last sync can be believed.
      for (const index of [...written, ...this.#written]) this.#options.bits.drop(index);
      [this.#written, this.#writtenBytes, this.#changed] = [new Set(), 0, true];
      throw error;
    }
  }

  async #syncFiles(): Promise<void> {
    if (!this.#unsynced) return;
    const { meta, chunks, directory } = this.#options.paths;
    for (const path of [meta, chunks, directory, dirname(directory)]) await syncPath(path);
    this.#unsynced = false;
  }

  async #write(record: Partial<FilledRecord>): Promise<void> {
    const { bits, paths, nextTemporary } = this.#options;
    const whole = { count: bits.filled.size, bitmap: record.bitmap ?? this.#bitmap(), ...record };
    await replaceFile(paths.filled, encodeFilled(whole), { temporary: nextTemporary() });
  }

  #bitmap(): Uint8Array {
    const { filled, claimed } = this.#options.bits;
    const bitmap = filled.toBytes();
    for (let at = 0; at < bitmap.length; at += 1) bitmap[at] = (bitmap[at] ?? 0) | (claimed.bytes[at] ?? 0);
    return bitmap;
  }
}
