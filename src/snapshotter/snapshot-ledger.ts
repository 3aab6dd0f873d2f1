/**
 * The snapshots that there are: in memory for questions, in the journal for the next start.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import type { SnapshotDirectories } from "./snapshot-directories.ts";
import { SnapshotIndex } from "./snapshot-index.ts";
import { type JournalContent, SnapshotJournal } from "./snapshot-journal.ts";
import type { Snapshot } from "./snapshot.ts";
import type { SnapshotterEvent } from "./snapshotter-event.ts";

interface Telling {
  readonly onEvent: (event: SnapshotterEvent) => void;
}

/** Changes take effect at once for everybody, and are taken back if they cannot be written. */
export class SnapshotLedger {
  readonly index: SnapshotIndex = new SnapshotIndex();
  readonly #journal: SnapshotJournal;
  /** How many operations need a snapshot to stay. */
  readonly #pins = new Map<string, number>();
  /** Whether the journal can be believed about what is not in it. */
  readonly #isComplete: boolean;
  #nextId: number;

  private constructor({ damagedLines, isNew, journal, nextId, snapshots }: JournalContent) {
    this.#journal = journal;
    this.#isComplete = !isNew && damagedLines === 0;
    this.#nextId = nextId;
    for (const snapshot of snapshots) this.index.put(snapshot);
  }

  /** @throws {EsgzError} `IO_FAILED`, `NO_SPACE` */
  static async open(path: string, { onEvent }: Telling): Promise<SnapshotLedger> {
    const content = await SnapshotJournal.open(path);
    if (content.damagedLines > 0) onEvent({ kind: "journal-damaged", lines: content.damagedLines });
    return new SnapshotLedger(content);
  }

  /** An id that nothing has, or will have once it is gone. */
  nextId(): number {
    this.#nextId += 1;
    return this.#nextId - 1;
  }

  /**
   * Compares with the directories: makes those that may be empty, tells which are missing. Where the journal was lost, in part or
   * whole, directories without a snapshot may hold what somebody wants: they are set aside.
   *
   * @returns the ids of directories that no snapshot has and that can go.
   */
  async reconcile(directories: SnapshotDirectories, { onEvent }: Telling): Promise<readonly number[]> {
    const present = new Set(await directories.list());
    for (const { id, kind, name, remote } of this.index.all()) {
      if (present.delete(id)) continue;
      if (remote === undefined) onEvent({ kind: "directory-missing", name, directory: directories.of(id) });
      directories.create(id, { work: kind === "active" });
    }
    // Ids in use by directories are not given to others, even if the journal was lost.
    for (const id of present) this.#nextId = Math.max(this.#nextId, id + 1);
    for (const id of present) {
      const directory = this.#isComplete ? directories.of(id) : await directories.setAside(id);
      onEvent({ kind: this.#isComplete ? "left-over" : "set-aside", directory });
    }
    return this.#isComplete ? [...present] : [];
  }

  /** Whether others build upon this one, or are about to. */
  isParent(name: string): boolean {
    return this.index.hasChildren(name) || this.#pins.has(name);
  }

  /** Nobody can remove the snapshot while `work` runs. */
  async whilePinned<T>(name: string, work: () => Promise<T>): Promise<T> {
    if (name === "") return await work();
    this.#pins.set(name, (this.#pins.get(name) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#pins.get(name) ?? 1) - 1;
      if (left === 0) this.#pins.delete(name);
      else this.#pins.set(name, left);
    }
  }

  /** Adds a snapshot that can be made again: an empty one, or one that shows a layer of a registry. */
  async add(snapshot: Snapshot): Promise<void> {
    this.note(snapshot);
    try {
      await this.#journal.flush("soon");
    } catch (error) {
      this.#forget(snapshot);
      throw error;
    }
  }

  /** One snapshot becomes another with the same id; not even a crash of the machine takes that back. */
  async replace(old: Snapshot, next: Snapshot): Promise<void> {
    this.index.remove(old.name);
    this.note(next);
    try {
      await this.#journal.flush("now");
    } catch (error) {
      this.index.remove(next.name);
      this.note(old);
      throw error;
    }
  }

  /**
   * Removes a snapshot. A removal that is lost does no harm: who wanted it wants it again. So it works on a full disk as well,
   * where it is what makes room.
   */
  async remove(snapshot: Snapshot): Promise<void> {
    this.#forget(snapshot);
    try {
      await this.#journal.flush("soon");
    } catch (error) {
      if (isEsgzError(error, "NO_SPACE")) return;
      this.note(snapshot);
      throw error;
    }
  }

  /** Sets a snapshot; it is written soon. */
  note(snapshot: Snapshot): void {
    this.index.put(snapshot);
    this.#journal.put(snapshot);
  }

  /** Writes what is noted. */
  async close(): Promise<void> {
    await this.#journal.close();
  }

  #forget(snapshot: Snapshot): void {
    this.index.remove(snapshot.name);
    this.#journal.remove(snapshot.id);
  }
}
