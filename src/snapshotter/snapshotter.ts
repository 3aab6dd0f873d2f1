/**
 * Snapshots: directories of changes over others, or layers that nobody has unpacked.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { readDirectoryUsage } from "./directory-usage.ts";
import { REMOTE_LABEL, REMOTE_LABEL_VALUE, TARGET_LABEL } from "./label-keys.ts";
import { updatedLabels } from "./label-update.ts";
import { NameLocks } from "./name-locks.ts";
import { RemovalQueue } from "./removal-queue.ts";
import type { RemoteLayers } from "./remote-layers.ts";
import { RemoteMounts } from "./remote-mounts.ts";
import { RemotePreparer } from "./remote-preparer.ts";
import type { VerificationPolicy } from "./remote-request.ts";
import { SnapshotDirectories } from "./snapshot-directories.ts";
import { matchesFilters, parseSnapshotFilter, targetOf } from "./snapshot-filter.ts";
import { SnapshotLedger } from "./snapshot-ledger.ts";
import { snapshotMounts, type SnapshotMount } from "./snapshot-mounts.ts";
import { keptLabels, type Labels, type RemoteOrigin, type Snapshot, type SnapshotUsage } from "./snapshot.ts";
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
const KEPT_DECLINES = 100;

/**
 * A snapshotter over one directory. Methods may be called concurrently; each takes effect at once or not at all, also if the
 * process is killed meanwhile.
 */
export class Snapshotter implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #remote: RemoteLayers | undefined;
  readonly #settings: readonly string[];
  readonly #onEvent: (event: SnapshotterEvent) => void;
  readonly #ledger: SnapshotLedger;
  readonly #directories: SnapshotDirectories;
  readonly #preparer: RemotePreparer;
  readonly #mounts: RemoteMounts;
  readonly #removals: RemovalQueue;
  readonly #locks = new NameLocks();
  readonly #declines: Decline[] = [];
  readonly #restored: Promise<void>;

  private constructor(options: SnapshotterOptions, ledger: SnapshotLedger, directories: SnapshotDirectories) {
    const { clock, remote, onEvent = () => undefined } = options;
    this.#clock = clock;
    this.#remote = remote;
    this.#settings = options.overlaySettings ?? [];
    this.#onEvent = onEvent;
    this.#ledger = ledger;
    this.#directories = directories;
    const timeoutMs = options.prepareTimeoutMs ?? PREPARE_TIMEOUT_MS;
    this.#preparer = new RemotePreparer({ remote, clock, timeoutMs, policy: options.verification ?? {} });
    this.#mounts = new RemoteMounts({ remote, directories, preparer: this.#preparer, onEvent });
    this.#removals = new RemovalQueue({
      remove: (id) => directories.remove(id, (place) => this.#mounts.unmount(place)),
      onFailure: (id, error) =>
        onEvent({ kind: "removal-failed", directory: directories.of(id), message: messageOf(error) }),
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
    return this.#declines;
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
      this.#checkNew(key, options.parent);
      const remote = target === "" ? undefined : await this.#prepareRemote(target, options);
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
      const active = this.#activeSnapshot(key);
      this.#checkNew(name, options.parent);
      const parent = rebased(active, options.parent);
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
      this.#checkNew(name, parent);
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

  /** The snapshots for which one of the filters holds; all without filters. @throws {EsgzError} `REQUEST_INVALID` */
  list(filters: readonly string[]): readonly Snapshot[] {
    const parsed = filters.map(parseSnapshotFilter);
    const { index } = this.#ledger;
    const [only] = parsed;
    const wanted = parsed.length === 1 && only !== undefined ? targetOf(only) : undefined;
    const candidates =
      wanted === undefined ? [...index.all()] : index.withTarget(wanted.target, wanted.parent);
    return candidates.filter((snapshot) => matchesFilters(snapshot, parsed));
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

  /** Writes what is noted. Mounts stay. Idempotent. */
  async close(): Promise<void> {
    await this.#restored;
    await this.#removals.drain();
    await this.#ledger.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The name under which the target is there now; undefined if the client has to unpack it. */
  async #prepareRemote(target: string, { labels, parent }: NewSnapshot): Promise<string | undefined> {
    const startMs = this.#clock.nowMs();
    const there = this.#ledger.index.withTarget(target, parent).find(({ remote }) => remote !== undefined);
    if (there?.remote !== undefined) {
      this.#tellPrepared({ name: there.name, origin: there.remote, shared: true, startMs });
      return there.name;
    }
    return await this.#ledger.whilePinned(parent, async () => {
      const answer = await this.#preparer.prepare(labels);
      const made =
        "reason" in answer ? answer : await this.#mountRemote(answer.origin, { target, parent, labels });
      if ("reason" in made) {
        this.#decline({ ...made, target, startMs });
        return undefined;
      }
      this.#tellPrepared({ ...made, shared: false, startMs });
      return made.name;
    });
  }

  async #mountRemote(
    origin: RemoteOrigin,
    { target, parent, labels }: NewSnapshot & { readonly target: string },
  ): Promise<{ name: string; origin: RemoteOrigin } | Omit<Decline, "ms" | "atMs" | "target">> {
    const id = this.#ledger.nextId();
    try {
      await this.#directories.create(id, { work: false });
      await this.#mounts.mount(id, origin);
    } catch (error) {
      this.#mounts.forget(id);
      this.#removals.add(id);
      return { reason: messageOf(error), reference: origin.reference, digest: origin.digest };
    }
    const now = this.#clock.wallMs();
    // Another parent may have a child of this name: content is the same, snapshots are not.
    const name = this.#ledger.index.get(target) === undefined ? target : `${target} ${id}`;
    const marked = keptLabels({ ...labels, [REMOTE_LABEL]: REMOTE_LABEL_VALUE });
    const times = { createdMs: now, updatedMs: now };
    await this.#add({ id, name, parent, kind: "committed", labels: marked, ...times, remote: origin });
    return { name, origin };
  }

  async #create(
    key: string,
    kind: "active" | "view",
    options: NewSnapshot,
  ): Promise<readonly SnapshotMount[]> {
    const { parent } = options;
    // Whoever asked waited meanwhile, perhaps.
    this.#checkNew(key, parent);
    return await this.#ledger.whilePinned(parent, async () => {
      const id = this.#ledger.nextId();
      const ancestors = this.#ledger.index.ancestors(parent);
      await this.#mounts.ensure(ancestors);
      const [nearest] = ancestors;
      const owner = nearest && (nearest.remote?.owner ?? (await this.#directories.ownerOf(nearest.id)));
      await this.#directories.create(id, { work: kind === "active", owner });
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

  #mountsOf({ id, kind, name }: Snapshot, ancestors: readonly Snapshot[]): readonly SnapshotMount[] {
    if (kind === "committed") {
      const text = `Cannot mount snapshot "${name}": expected an active one or a view, got a committed one`;
      throw new EsgzError("PRECONDITION_FAILED", text);
    }
    const { fs, work } = { fs: this.#directories.fs(id), work: this.#directories.work(id) };
    const lower = ancestors.map((ancestor) => this.#directories.fs(ancestor.id));
    return snapshotMounts(kind, { fs, work, lower }, { settings: this.#settings });
  }

  #activeSnapshot(key: string): Snapshot {
    const snapshot = this.stat(key);
    if (snapshot.kind === "active") return snapshot;
    const text = `Cannot commit snapshot "${key}": expected an active one, got ${describe(snapshot)}`;
    throw new EsgzError("PRECONDITION_FAILED", text);
  }

  #checkNew(name: string, parent: string): void {
    if (name === "")
      throw new EsgzError("REQUEST_INVALID", "Cannot make snapshot: expected a name, got none");
    if (this.#ledger.index.get(name) !== undefined)
      throw new EsgzError("ALREADY_EXISTS", `Cannot make snapshot "${name}": it exists already`);
    if (parent === "") return;
    const found = this.#ledger.index.get(parent);
    if (found === undefined) {
      const text = `Cannot make snapshot "${name}": expected its parent "${parent}", got none`;
      throw new EsgzError("SNAPSHOT_NOT_FOUND", text);
    }
    if (found.kind === "committed") return;
    const text = `Cannot make snapshot "${name}": expected parent "${parent}" to be committed, got ${describe(found)}`;
    throw new EsgzError("REQUEST_INVALID", text);
  }

  #decline(what: Omit<Decline, "ms" | "atMs"> & { readonly startMs: number }): void {
    const { startMs, ...rest } = what;
    const decline = { ...rest, ms: this.#clock.nowMs() - startMs, atMs: this.#clock.wallMs() };
    this.#declines.push(decline);
    if (this.#declines.length > KEPT_DECLINES) this.#declines.shift();
    this.#onEvent({ kind: "declined", ...decline });
  }

  #tellPrepared(what: { name: string; origin: RemoteOrigin; shared: boolean; startMs: number }): void {
    const { name, origin, shared, startMs } = what;
    const { digest, reference } = origin;
    this.#onEvent({
      kind: "remote-prepared",
      name,
      reference,
      digest,
      shared,
      ms: this.#clock.nowMs() - startMs,
    });
  }
}

function describe({ kind }: Snapshot): string {
  return kind === "active" ? "an active one" : kind === "view" ? "a view" : "a committed one";
}

/** A snapshot that was prepared on nothing gets its parent when it is committed; one that has a parent keeps it. */
function rebased({ name, parent }: Snapshot, wanted: string): string {
  if (wanted === "" || wanted === parent) return parent;
  if (parent === "") return wanted;
  const text = `Cannot commit snapshot "${name}": expected its parent "${parent}" or none, got "${wanted}"`;
  throw new EsgzError("REQUEST_INVALID", text);
}
