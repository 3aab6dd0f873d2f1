/**
 * Snapshots: directories of changes over others, or layers that nobody has unpacked.
 *
 * @module
 */
import { type Clock, KeyLocks } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { readDirectoryUsage } from "./directory-usage.ts";
import { idMappingOf } from "./id-mapping.ts";
import { TARGET_LABEL } from "./label-keys.ts";
import { updatedLabels } from "./label-update.ts";
import { RemovalQueue } from "./removal-queue.ts";
import type { RemoteLayers } from "./remote-layers.ts";
import { mountIdOf, RemoteMounts } from "./remote-mounts.ts";
import { RemotePreparer } from "./remote-preparer.ts";
import type { VerificationPolicy } from "./remote-request.ts";
import { RemoteSnapshots } from "./remote-snapshots.ts";
import { checkActive, checkNewSnapshot, committedParent } from "./snapshot-checks.ts";
import { SnapshotDirectories } from "./snapshot-directories.ts";
import { filterSnapshots, parseSnapshotFilter, targetOf } from "./snapshot-filter.ts";
import { SnapshotLedger } from "./snapshot-ledger.ts";
import { snapshotMounts, type SnapshotMount } from "./snapshot-mounts.ts";
import {
  type DirectoryOwner,
  keptLabels,
  type Labels,
  type Snapshot,
  type SnapshotUsage,
} from "./snapshot.ts";
import type { Decline, SnapshotterEvent } from "./snapshotter-event.ts";

/** How a snapshotter works. */
export interface SnapshotterOptions {
  /** Absolute; one process at a time. */
  readonly root: string;
  readonly clock: Clock;
  /** Where layers come from that are not unpacked; without it, all snapshots are ordinary ones. */
  readonly remote?: RemoteLayers | undefined;
  /** Options for each overlay mount: see `readOverlaySettings()`. Default none. */
  readonly overlaySettings?: readonly string[] | undefined;
  /** Whether clients were told that mounts of theirs show other owners where labels ask for it. Default false. */
  readonly remapIds?: boolean | undefined;
  /** Default strict. */
  readonly verification?: VerificationPolicy | undefined;
  /** How long a layer may take to be ready before it is declined. Default 30 s. */
  readonly prepareTimeoutMs?: number | undefined;
  readonly onEvent?: ((event: SnapshotterEvent) => void) | undefined;
}

/** What a new snapshot is to be. */
export interface NewSnapshot {
  /** The committed snapshot below; empty for none. */
  readonly parent: string;
  readonly labels: Labels;
}

/** Mounts to write to, or: the target is there already, under this name. */
export type Prepared =
  | { readonly kind: "mounts"; readonly mounts: readonly SnapshotMount[] }
  | { readonly kind: "remote"; readonly target: string; readonly name: string };

const PREPARE_TIMEOUT_MS = 30_000;

/**
 * A snapshotter over one directory. Methods may be called concurrently; each takes effect at once or not at all, also if the
 * process is killed meanwhile.
 */
export class Snapshotter implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #remotes: RemoteSnapshots;
  readonly #remote: RemoteLayers | undefined;
  readonly #settings: readonly string[];
  readonly #remapIds: boolean;
  readonly #ledger: SnapshotLedger;
  readonly #directories: SnapshotDirectories;
  readonly #mounts: RemoteMounts;
  readonly #removals: RemovalQueue;
  readonly #locks = new KeyLocks<string>();
  readonly #restored: Promise<void>;

  private constructor(options: SnapshotterOptions, ledger: SnapshotLedger, directories: SnapshotDirectories) {
    const { clock, remote, onEvent = () => undefined } = options;
    this.#clock = clock;
    this.#remote = remote;
    this.#settings = options.overlaySettings ?? [];
    this.#remapIds = options.remapIds ?? false;
    this.#ledger = ledger;
    this.#directories = directories;
    const timeoutMs = options.prepareTimeoutMs ?? PREPARE_TIMEOUT_MS;
    const preparer = new RemotePreparer({ remote, clock, timeoutMs, policy: options.verification ?? {} });
    this.#mounts = new RemoteMounts({ remote, directories, preparer, onEvent });
    this.#removals = new RemovalQueue({
      remove: (id) => directories.remove(id, (place) => this.#mounts.unmount(place)),
      onFailure: (id, error) =>
        onEvent({ kind: "removal-failed", directory: directories.of(id), message: messageOf(error) }),
    });
    const add = (snapshot: Snapshot): Promise<void> => this.#add(snapshot);
    const discard = (id: number): void => this.#removals.add(id);
    const mounts = this.#mounts;
    this.#remotes = new RemoteSnapshots({
      clock,
      ledger,
      directories,
      preparer,
      mounts,
      add,
      discard,
      onEvent,
    });
    this.#restored = this.#mounts.restore([...ledger.index.all()]);
  }

  /**
   * Opens the snapshots below `root`: reads what is known, removes what a crash left behind, and begins to mount the layers of
   * remote snapshots again. It does not wait for these, and no layer that is not to be had keeps it from opening.
   *
   * @throws {EsgzError} `CONFIGURATION_INVALID`, `IO_FAILED`, `NO_SPACE`
   */
  static async open(options: SnapshotterOptions): Promise<Snapshotter> {
    const directories = new SnapshotDirectories(options.root);
    const { onEvent = () => undefined } = options;
    await directories.ensureRoot();
    const ledger = await SnapshotLedger.open(directories.journal, { onEvent });
    const leftOver = await ledger.reconcile(directories, { onEvent });
    const snapshotter = new Snapshotter(options, ledger, directories);
    for (const id of leftOver) snapshotter.#removals.add(id);
    return snapshotter;
  }

  /** The last Prepare calls that were not made remote, the newest last. */
  get declines(): readonly Decline[] {
    return this.#remotes.declines;
  }

  /** The number of snapshots. */
  get size(): number {
    return this.#ledger.index.size;
  }

  /** Resolves when the layers of all remote snapshots are mounted again, or have failed to be. */
  async restored(): Promise<void> {
    await this.#restored;
  }

  /**
   * Makes an active snapshot. With the target label, a layer is mounted instead if that can be, and the target is there when
   * this resolves.
   *
   * @throws {EsgzError} `ALREADY_EXISTS`, `SNAPSHOT_NOT_FOUND` (the parent), `REQUEST_INVALID`, `MOUNT_FAILED` (an ancestor),
   * `IO_FAILED`, `NO_SPACE`
   */
  async prepare(key: string, options: NewSnapshot): Promise<Prepared> {
    const target = options.labels[TARGET_LABEL] ?? "";
    const names = target === "" ? [key] : [key, target];
    return await this.#locks.run(names, async () => {
      checkNewSnapshot(this.#ledger.index, key, options);
      const remote = target === "" ? undefined : await this.#remotes.prepare(target, options);
      if (remote !== undefined) return { kind: "remote", target, name: remote };
      return { kind: "mounts", mounts: await this.#create(key, "active", options) };
    });
  }

  /** Makes a view: the same to look at only. @throws {EsgzError} as {@linkcode prepare} */
  async view(key: string, options: NewSnapshot): Promise<readonly SnapshotMount[]> {
    return await this.#locks.run([key], () => this.#create(key, "view", options));
  }

  /**
   * The mounts of an active snapshot or a view: the same each time.
   *
   * @throws {EsgzError} `SNAPSHOT_NOT_FOUND`; `PRECONDITION_FAILED` for a committed one; `MOUNT_FAILED`
   */
  async mounts(key: string): Promise<readonly SnapshotMount[]> {
    const snapshot = this.stat(key);
    const ancestors = this.#ledger.index.ancestors(snapshot.parent);
    await this.#mounts.ensure(ancestors);
    return this.#mountsOf(snapshot, ancestors);
  }

  /**
   * Makes an active snapshot a committed one, under a name of its own. The given labels replace its own.
   *
   * @throws {EsgzError} `SNAPSHOT_NOT_FOUND`, `ALREADY_EXISTS`, `PRECONDITION_FAILED`, `REQUEST_INVALID`, `IO_FAILED`, `NO_SPACE`
   */
  async commit(key: string, options: { readonly name: string } & NewSnapshot): Promise<void> {
    const { name } = options;
    await this.#locks.run([key, name], async () => {
      const active = this.stat(key);
      checkActive(active);
      checkNewSnapshot(this.#ledger.index, name, options);
      const parent = committedParent(active, options.parent);
      const usage = await readDirectoryUsage(this.#directories.fs(active.id));
      const now = this.#clock.wallMs();
      const labels = keptLabels(options.labels);
      const { id } = active;
      const committed: Snapshot = {
        id,
        name,
        parent,
        kind: "committed",
        labels,
        createdMs: now,
        updatedMs: now,
        usage,
      };
      checkNewSnapshot(this.#ledger.index, name, { parent });
      await this.#ledger.replace(active, committed);
    });
  }

  /**
   * Removes a snapshot. Its directory goes later, while nobody waits.
   *
   * @throws {EsgzError} `SNAPSHOT_NOT_FOUND`; `PRECONDITION_FAILED` if others build upon it; `IO_FAILED`, `NO_SPACE`
   */
  async remove(key: string): Promise<void> {
    await this.#locks.run([key], async () => {
      const snapshot = this.stat(key);
      if (this.#ledger.isParent(key)) {
        const text = `Cannot remove snapshot "${key}": expected no snapshot upon it, got some`;
        throw new EsgzError("PRECONDITION_FAILED", text);
      }
      await this.#ledger.remove(snapshot);
      this.#mounts.forget(snapshot.id);
      this.#removals.add(snapshot.id);
    });
  }

  /** One snapshot. @throws {EsgzError} `SNAPSHOT_NOT_FOUND` */
  stat(key: string): Snapshot {
    const snapshot = this.#ledger.index.get(key);
    if (snapshot !== undefined) return snapshot;
    throw new EsgzError("SNAPSHOT_NOT_FOUND", `Cannot find snapshot "${key}": it does not exist`);
  }

  /** Changes labels: see `updatedLabels`. @throws {EsgzError} `SNAPSHOT_NOT_FOUND`, `REQUEST_INVALID` */
  update(name: string, options: { readonly labels: Labels; readonly mask: readonly string[] }): Snapshot {
    const old = this.stat(name);
    const labels = updatedLabels(old.labels, options.labels, options);
    const snapshot = { ...old, labels, updatedMs: this.#clock.wallMs() };
    this.#ledger.note(snapshot);
    return snapshot;
  }

  /** The snapshots for which one of the filters holds; all without filters. @throws {EsgzError} `REQUEST_INVALID`, `LIMIT_EXCEEDED` */
  list(filters: readonly string[]): readonly Snapshot[] {
    const parsed = filters.map(parseSnapshotFilter);
    const { index } = this.#ledger;
    const [only] = parsed;
    const wanted = parsed.length === 1 && only !== undefined ? targetOf(only) : undefined;
    const candidates =
      wanted === undefined ? [...index.all()] : index.withTarget(wanted.target, wanted.parent);
    return filterSnapshots(candidates, parsed);
  }

  /** The ids of the mounts of layers that something active stands on, or a view: containers may run from them. */
  usedMounts(): ReadonlySet<string> {
    const used = [...this.#ledger.index.bases()].filter(({ remote }) => remote !== undefined);
    return new Set(used.map(({ id }) => mountIdOf(id)));
  }

  /** What a snapshot takes by itself, counted now. @throws {EsgzError} `SNAPSHOT_NOT_FOUND`, `IO_FAILED` */
  async usage(key: string): Promise<SnapshotUsage> {
    const { id, kind, remote, usage = { size: 0, inodes: 0 } } = this.stat(key);
    if (kind === "active") return await readDirectoryUsage(this.#directories.fs(id));
    if (remote === undefined || this.#remote === undefined) return usage;
    return await this.#remote.usage(remote.digest);
  }

  /** Resolves when the directories of all removed snapshots are gone, or have failed to go. */
  async cleanup(): Promise<void> {
    await this.#removals.drain();
  }

  /** The host found that the mount of a snapshot is gone or dead: the next use makes sure of it. */
  forgetMount(id: number): void {
    this.#mounts.forget(id);
  }

  /** Writes what is noted. Mounts stay; what is not removed yet is removed after the next start. Idempotent. */
  async close(): Promise<void> {
    await this.#remotes.close();
    await this.#removals.stop();
    await this.#ledger.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #create(
    key: string,
    kind: "active" | "view",
    options: NewSnapshot,
  ): Promise<readonly SnapshotMount[]> {
    const { parent } = options;
    // Whoever asked waited meanwhile, perhaps.
    checkNewSnapshot(this.#ledger.index, key, options);
    const mapping = idMappingOf(options.labels);
    return await this.#ledger.whilePinned(parent, async () => {
      const id = this.#ledger.nextId();
      const ancestors = this.#ledger.index.ancestors(parent);
      await this.#mounts.ensure(ancestors);
      const [nearest] = ancestors;
      const inherited = async (): Promise<DirectoryOwner | undefined> =>
        nearest && (nearest.remote?.owner ?? (await this.#directories.ownerOf(nearest.id)));
      const owner = mapping?.root ?? (await inherited());
      try {
        this.#directories.create(id, { work: kind === "active", owner });
      } catch (error) {
        this.#removals.add(id);
        throw error;
      }
      const now = this.#clock.wallMs();
      const labels = keptLabels(options.labels);
      const snapshot: Snapshot = { id, name: key, parent, kind, labels, createdMs: now, updatedMs: now };
      await this.#add(snapshot);
      return this.#mountsOf(snapshot, ancestors);
    });
  }

  /** What cannot be written is not there, and neither is its directory. */
  async #add(snapshot: Snapshot): Promise<void> {
    try {
      await this.#ledger.add(snapshot);
    } catch (error) {
      this.#mounts.forget(snapshot.id);
      this.#removals.add(snapshot.id);
      throw error;
    }
  }

  #mountsOf({ id, kind, labels, name }: Snapshot, ancestors: readonly Snapshot[]): readonly SnapshotMount[] {
    if (kind === "committed") {
      const text = `Cannot mount snapshot "${name}": expected an active one or a view, got a committed one`;
      throw new EsgzError("PRECONDITION_FAILED", text);
    }
    const { fs, work } = { fs: this.#directories.fs(id), work: this.#directories.work(id) };
    const lower = ancestors.map((ancestor) => this.#directories.fs(ancestor.id));
    const mapping = this.#remapIds ? (idMappingOf(labels)?.options ?? []) : [];
    return snapshotMounts(kind, { fs, work, lower }, { settings: this.#settings, mapping });
  }
}
