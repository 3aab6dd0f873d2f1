/**
 * What survives: each change of a snapshot, appended to one file.
 *
 * Changes are noted in memory and written together: however many come while the disk is busy, the next write takes them all,
 * of each snapshot only the last. Whoever needs to know waits for `flush()`; a change of labels costs its caller a map write.
 *
 * @module
 */
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { EsgzError, ioCodeOf, messageOf } from "../errors/index.ts";
import { ifExists, syncPath } from "../files/index.ts";
import { decodeJournalLine, encodeJournalLine } from "./journal-line.ts";
import type { Snapshot } from "./snapshot.ts";

/** What a journal held when it was opened. */
export interface JournalContent {
  readonly journal: SnapshotJournal;
  readonly snapshots: readonly Snapshot[];
  /** Higher than any id that was ever used. */
  readonly nextId: number;
  /** Whether there was a journal, or one was begun. */
  readonly isNew: boolean;
  /** Lines that were damaged, and whose changes are lost; an unfinished last line is not one. */
  readonly damagedLines: number;
}

/** When a machine that stops must not lose a change any more: when the caller hears of it, or soon after. */
export type Durability = "now" | "soon";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** The file is rewritten when it is this many times as long as its content needs, and not before it has this many bytes. */
const REWRITE_FACTOR = 8;
const REWRITE_BYTES = 4 * 1024 * 1024;
const FILE_MODE = 0o600;

/** The journal of a running snapshotter. One process at a time may have it open. */
export class SnapshotJournal implements AsyncDisposable {
  readonly #path: string;
  readonly #live: Map<number, Snapshot>;
  #file: FileHandle;
  #size: number;
  #compactSize: number;
  #nextId: number;
  #dirty = new Set<number>();
  #waiters: Waiter[] = [];
  #writing: Promise<void> | undefined;
  #syncWaiters: Waiter[] = [];
  #syncing: Promise<void> | undefined;

  private constructor(path: string, state: { file: FileHandle; size: number; content: Content }) {
    this.#path = path;
    this.#file = state.file;
    this.#size = state.size;
    this.#compactSize = state.size;
    this.#live = state.content.live;
    this.#nextId = state.content.nextId;
  }

  /**
   * Reads a journal, or begins one, and rewrites it without what is past.
   *
   * @throws {EsgzError} `IO_FAILED`, `NO_SPACE`
   */
  static async open(path: string): Promise<JournalContent> {
    return await translated(path, async () => {
      const text = await ifExists(readFile(path, "utf8"));
      const content = decodeJournal(text ?? "");
      const written = await writeWhole(path, content);
      const journal = new SnapshotJournal(path, { ...written, content });
      const { live, nextId, damagedLines } = content;
      return { journal, snapshots: [...live.values()], nextId, isNew: text === undefined, damagedLines };
    });
  }

  /** Notes a snapshot as it is now; it is written soon. */
  put(snapshot: Snapshot): void {
    this.#live.set(snapshot.id, snapshot);
    this.#nextId = Math.max(this.#nextId, snapshot.id + 1);
    this.#note(snapshot.id);
  }

  /** Notes that a snapshot is gone. */
  remove(id: number): void {
    this.#live.delete(id);
    this.#note(id);
  }

  /**
   * Resolves when everything that was noted is written: what a crash of this process cannot lose. With `now`, neither can a
   * crash of the machine; with `soon`, that follows without anybody waiting for it.
   *
   * @throws {EsgzError} `IO_FAILED`, `NO_SPACE`: what was noted is tried again with the next write.
   */
  async flush(durability: Durability): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#startWriting();
    });
    const synced = new Promise<void>((resolve, reject) => {
      this.#syncWaiters.push({ resolve, reject });
      this.#startSyncing();
    });
    if (durability === "now") await synced;
    else synced.catch(() => undefined);
  }

  /** Writes what is noted and closes the file. Idempotent. */
  async close(): Promise<void> {
    if (this.#file.fd < 0) return;
    try {
      await this.flush("now");
    } finally {
      await this.#writing;
      await this.#syncing;
      await this.#file.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #note(id: number): void {
    this.#dirty.add(id);
    this.#startWriting();
  }

  #startWriting(): void {
    this.#writing ??= this.#writeAll();
  }

  #startSyncing(): void {
    this.#syncing ??= this.#syncAll();
  }

  async #writeAll(): Promise<void> {
    // First let the caller finish its turn: several changes of one turn are one write.
    await Promise.resolve();
    while (this.#waiters.length > 0 || this.#dirty.size > 0) {
      const waiters = this.#waiters;
      const dirty = this.#dirty;
      this.#waiters = [];
      this.#dirty = new Set();
      try {
        await translated(this.#path, () => this.#write(dirty));
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        for (const id of dirty) this.#dirty.add(id);
        for (const { reject } of waiters) reject(error);
        // Without anybody waiting, the next change tries again.
        if (this.#waiters.length === 0) break;
      }
    }
    // In the turn of the last look: what is noted later starts anew.
    this.#writing = undefined;
  }

  /** Writes go on meanwhile: a disk that takes its time to be sure does not slow down those who need not be. */
  async #syncAll(): Promise<void> {
    while (this.#syncWaiters.length > 0) {
      const waiters = this.#syncWaiters;
      this.#syncWaiters = [];
      try {
        await translated(this.#path, () => this.#file.datasync());
        for (const { resolve } of waiters) resolve();
      } catch (error) {
        for (const { reject } of waiters) reject(error);
      }
    }
    this.#syncing = undefined;
  }

  async #write(dirty: ReadonlySet<number>): Promise<void> {
    if (this.#size > Math.max(REWRITE_BYTES, REWRITE_FACTOR * this.#compactSize))
      return await this.#rewrite();
    const bytes = Buffer.from([...dirty].map((id) => this.#lineOf(id)).join(""));
    try {
      await writeAll(this.#file, bytes, this.#size);
      this.#size += bytes.length;
    } catch (error) {
      // Or half of it would look like damage later.
      await this.#file.truncate(this.#size).catch(() => undefined);
      throw error;
    }
  }

  async #rewrite(): Promise<void> {
    const old = this.#file;
    const { file, size } = await writeWhole(this.#path, { live: this.#live, nextId: this.#nextId });
    this.#file = file;
    this.#size = size;
    this.#compactSize = size;
    await old.close();
  }

  #lineOf(id: number): string {
    const snapshot = this.#live.get(id);
    return encodeJournalLine(snapshot === undefined ? { remove: id } : { put: snapshot });
  }
}

interface Content {
  readonly live: Map<number, Snapshot>;
  readonly nextId: number;
}

/** What the lines of a journal come to. */
export function decodeJournal(text: string): Content & { readonly damagedLines: number } {
  const live = new Map<number, Snapshot>();
  let nextId = 1;
  let damagedLines = 0;
  // What follows the last line feed was never completed.
  for (const line of text.split("\n").slice(0, -1)) {
    const change = decodeJournalLine(line);
    if (change === undefined) damagedLines += 1;
    else if ("next" in change) nextId = Math.max(nextId, change.next);
    else if ("remove" in change) live.delete(change.remove);
    else {
      live.set(change.put.id, change.put);
      nextId = Math.max(nextId, change.put.id + 1);
    }
  }
  return { live, nextId, damagedLines };
}

/** Replaces the file: after a crash there is the old one or the new one. */
async function writeWhole(path: string, content: Content): Promise<{ file: FileHandle; size: number }> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", FILE_MODE);
  try {
    const lines = [...content.live.values()].map((put) => encodeJournalLine({ put }));
    const bytes = Buffer.from(encodeJournalLine({ next: content.nextId }) + lines.join(""));
    await writeAll(file, bytes, 0);
    await file.sync();
    await rename(temporary, path);
    await syncPath(dirname(path));
    return { file, size: bytes.length };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

async function translated<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const text = `Cannot write snapshot journal "${path}": ${messageOf(cause)}`;
    throw new EsgzError(ioCodeOf(cause), text, { cause });
  }
}
