/**
 * Snapshots of layers that nobody has unpacked: made in one step, committed from the start.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { messageOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { REMOTE_LABEL, REMOTE_LABEL_VALUE } from "./label-keys.ts";
import { MountsAhead } from "./mounts-ahead.ts";
import type { RemoteMounts } from "./remote-mounts.ts";
import type { RemotePreparer } from "./remote-preparer.ts";
import type { SnapshotDirectories } from "./snapshot-directories.ts";
import type { SnapshotLedger } from "./snapshot-ledger.ts";
import { keptLabels, type Labels, type RemoteOrigin, type Snapshot } from "./snapshot.ts";
import type { Decline, SnapshotterEvent } from "./snapshotter-event.ts";

/** With what they are made. */
export interface RemoteSnapshotsOptions {
  readonly clock: Clock;
  readonly ledger: SnapshotLedger;
  readonly directories: SnapshotDirectories;
  readonly preparer: RemotePreparer;
  readonly mounts: RemoteMounts;
  /** Adds a snapshot, or cleans up after it and throws. */
  readonly add: (snapshot: Snapshot) => Promise<void>;
  /** Removes directories that came to nothing. */
  readonly discard: (id: number) => void;
  readonly onEvent: (event: SnapshotterEvent) => void;
}

interface NewRemote {
  readonly parent: string;
  readonly labels: Labels;
}

const KEPT_DECLINES = 100;

/** The remote side of a snapshotter. Its caller holds the lock of the target's name. */
export class RemoteSnapshots {
  readonly #options: RemoteSnapshotsOptions;
  readonly #clock: Clock;
  readonly #ledger: SnapshotLedger;
  readonly #mounts: RemoteMounts;
  readonly #ahead: MountsAhead;
  readonly #declines: Decline[] = [];

  constructor(options: RemoteSnapshotsOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#ledger = options.ledger;
    this.#mounts = options.mounts;
    const { clock, discard, preparer } = options;
    this.#ahead = new MountsAhead({
      clock,
      discard,
      prepare: async (wanted) => {
        const answer = await preparer.prepareAgain(wanted, {});
        return "reason" in answer ? undefined : answer.origin;
      },
      mount: (origin) => this.#mountNew(origin),
    });
  }

  /** The last targets that were not made, the newest last. */
  get declines(): readonly Decline[] {
    return this.#declines;
  }

  /** Makes a snapshot of a target; the name under which the target is there now; undefined if the client has to unpack it. */
  async prepare(target: string, { labels, parent }: NewRemote): Promise<string | undefined> {
    const startMs = this.#clock.nowMs();
    const there = this.#ledger.index.withTarget(target, parent).find(({ remote }) => remote !== undefined);
    if (there?.remote !== undefined) {
      this.#tellPrepared({ name: there.name, origin: there.remote, shared: true, startMs });
      return there.name;
    }
    return await this.#ledger.whilePinned(parent, async () => {
      const answer = await this.#options.preparer.prepare(labels);
      const made = "reason" in answer ? answer : await this.#make(answer, { target, parent, labels });
      if ("reason" in made) {
        this.#decline({ ...made, target, startMs });
        return undefined;
      }
      this.#tellPrepared({ ...made, shared: false, startMs });
      return made.name;
    });
  }

  /** Ends what is done before anybody asks. */
  async close(): Promise<void> {
    await this.#ahead.close();
  }

  async #make(
    { origin, others }: { readonly origin: RemoteOrigin; readonly others: readonly Digest[] },
    { target, parent, labels }: NewRemote & { readonly target: string },
  ): Promise<{ name: string; origin: RemoteOrigin } | Omit<Decline, "ms" | "atMs" | "target">> {
    const { digest, reference } = origin;
    let id: number;
    try {
      id = (await this.#ahead.take(digest)) ?? (await this.#mountNew(origin));
    } catch (error) {
      return { reason: messageOf(error), reference, digest };
    }
    this.#ahead.expect(origin, others);
    const now = this.#clock.wallMs();
    // Another parent may have a child of this name: content is the same, snapshots are not.
    const name = this.#ledger.index.get(target) === undefined ? target : `${target} ${id}`;
    const marked = keptLabels({ ...labels, [REMOTE_LABEL]: REMOTE_LABEL_VALUE });
    const times = { createdMs: now, updatedMs: now };
    await this.#options.add({
      id,
      name,
      parent,
      kind: "committed",
      labels: marked,
      ...times,
      remote: origin,
    });
    return { name, origin };
  }

  /** Mounts a layer on a directory of its own, whose id this resolves with. */
  async #mountNew(origin: RemoteOrigin): Promise<number> {
    const id = this.#ledger.nextId();
    try {
      this.#options.directories.create(id, { work: false });
      await this.#options.preparer.inTime(() => this.#mounts.mount(id, origin));
      return id;
    } catch (error) {
      this.#mounts.forget(id);
      this.#options.discard(id);
      throw error;
    }
  }

  #decline(what: Omit<Decline, "ms" | "atMs"> & { readonly startMs: number }): void {
    const { startMs, ...rest } = what;
    const decline = { ...rest, ms: this.#clock.nowMs() - startMs, atMs: this.#clock.wallMs() };
    this.#declines.push(decline);
    if (this.#declines.length > KEPT_DECLINES) this.#declines.shift();
    this.#options.onEvent({ kind: "declined", ...decline });
  }

  #tellPrepared(what: { name: string; origin: RemoteOrigin; shared: boolean; startMs: number }): void {
    const { name, origin, shared, startMs } = what;
    const { digest, reference } = origin;
    this.#options.onEvent({
      kind: "remote-prepared",
      name,
      reference,
      digest,
      shared,
      ms: this.#clock.nowMs() - startMs,
    });
  }
}
