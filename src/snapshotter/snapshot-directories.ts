/**
 * The directories of snapshots.
 *
 * ```text
 * <root>/journal                what is known about them
 * <root>/snapshots/<id>/fs      0755: the changes, or the mount of a layer
 * <root>/snapshots/<id>/work    0711: of active snapshots, for overlayfs
 * <root>/snapshots/<id>.lost    found without a record where the journal was damaged or missing
 * ```
 *
 * Beside a sound journal, a directory without a record is what a crash, or a removal, left behind.
 *
 * @module
 */
import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { lstat, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { listMountsBelow, unmountBelow } from "../erofs-mount/index.ts";
import { EsgzError, ioCodeOf, messageOf, systemCodeOf } from "../errors/index.ts";
import { makeDirectories } from "../files/index.ts";
import type { DirectoryOwner } from "./snapshot.ts";

const PRIVATE_MODE = 0o700;
const FS_MODE = 0o755;
const WORK_MODE = 0o711;
const ID = /^[1-9]\d{0,15}$/;

/** Paths that would be read as something else in the options of overlayfs. */
const UNUSABLE_ROOT = /[:,\\]/;

/** Where snapshots lie. */
export class SnapshotDirectories {
  readonly journal: string;
  readonly #snapshots: string;

  /** @throws {EsgzError} `CONFIGURATION_INVALID` for a root that cannot be named in mount options. */
  constructor(root: string) {
    if (UNUSABLE_ROOT.test(root) || !root.startsWith("/")) {
      const text = `Cannot use snapshot directory "${root}": expected an absolute path without ":", "," and "\\"`;
      throw new EsgzError("CONFIGURATION_INVALID", text);
    }
    this.journal = join(root, "journal");
    this.#snapshots = join(root, "snapshots");
  }

  /**
   * Makes the directories that hold all others. Those of snapshots can be passed through, but not listed, by others.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async ensureRoot(): Promise<void> {
    try {
      await makeDirectories(this.#snapshots, { mode: PRIVATE_MODE });
    } catch (cause) {
      throw makeFailure(this.#snapshots, cause);
    }
  }

  /** All of one snapshot. */
  of(id: number): string {
    return join(this.#snapshots, String(id));
  }

  /** Its changes. */
  fs(id: number): string {
    return join(this.of(id), "fs");
  }

  /** Overlayfs' own. */
  work(id: number): string {
    return join(this.of(id), "work");
  }

  /**
   * Makes the directories of a snapshot; those that are there stay. `owner` becomes the owner of its root. Who waits for a snapshot
   * waits for this: it is done at once, since each turn of another thread takes as long as all of it.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  create(id: number, options: { readonly work: boolean; readonly owner?: DirectoryOwner | undefined }): void {
    try {
      this.#make(id, options.owner);
      if (!options.work) return;
      mkdirSync(this.work(id), { recursive: true });
      chmodSync(this.work(id), WORK_MODE);
    } catch (cause) {
      throw makeFailure(this.of(id), cause);
    }
  }

  #make(id: number, owner: DirectoryOwner | undefined): void {
    const fs = this.fs(id);
    mkdirSync(fs, { recursive: true, mode: PRIVATE_MODE });
    // Whatever the umask is.
    chmodSync(fs, FS_MODE);
    if (owner === undefined) return;
    const { uid, gid } = statSync(fs);
    if (uid !== owner.uid || gid !== owner.gid) chownSync(fs, owner.uid, owner.gid);
  }

  /** Who owns the root of a snapshot. */
  async ownerOf(id: number): Promise<DirectoryOwner> {
    const { uid, gid } = await stat(this.fs(id));
    return { uid, gid };
  }

  /** The ids that have directories. */
  async list(): Promise<number[]> {
    const names = await readdir(this.#snapshots);
    return names.filter((name) => ID.test(name)).map(Number);
  }

  /** Gives a directory a name that is no snapshot's, so that it stays; its new path. */
  async setAside(id: number): Promise<string> {
    for (let times = 0; ; times += 1) {
      const place = `${this.of(id)}.lost${times === 0 ? "" : `-${times}`}`;
      const isFree = await lstat(place).then(
        () => false,
        (error: unknown) => systemCodeOf(error) === "ENOENT",
      );
      if (!isFree) continue;
      await rename(this.of(id), place);
      return place;
    }
  }

  /**
   * Removes the directories of a snapshot, with whatever is mounted in them.
   *
   * @throws {EsgzError} `MOUNT_FAILED` if a mount stays: nothing is deleted then, for it may be somebody's data.
   */
  async remove(id: number, unmount: (directory: string) => Promise<void>): Promise<void> {
    const directory = this.of(id);
    for (const { mountPoint } of await listMountsBelow(directory)) await unmount(mountPoint);
    await unmountBelow(directory, { lazy: true });
    await rm(directory, { recursive: true, force: true });
  }
}

function makeFailure(directory: string, cause: unknown): EsgzError {
  const text = `Cannot make snapshot directory "${directory}": ${messageOf(cause)}`;
  return new EsgzError(ioCodeOf(cause), text, { cause });
}
