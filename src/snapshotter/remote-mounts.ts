/**
 * Which layers are mounted where, and the mounting of those that should be and are not.
 *
 * @module
 */
import { mapConcurrent, SingleFlight } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { RemoteLayers } from "./remote-layers.ts";
import type { RemotePreparer } from "./remote-preparer.ts";
import type { SnapshotDirectories } from "./snapshot-directories.ts";
import type { RemoteOrigin, Snapshot } from "./snapshot.ts";
import type { SnapshotterEvent } from "./snapshotter-event.ts";

/** With what mounts are made. */
export interface RemoteMountsOptions {
  readonly remote: RemoteLayers | undefined;
  readonly preparer: RemotePreparer;
  readonly directories: SnapshotDirectories;
  readonly onEvent: (event: SnapshotterEvent) => void;
}

const PARALLEL_RESTORES = 8;

/** Mounts of remote snapshots. What was mounted once is taken to be so until it is forgotten. */
export class RemoteMounts {
  readonly #options: RemoteMountsOptions;
  readonly #mounted = new Set<number>();
  readonly #flights = new SingleFlight<number, void>();

  constructor(options: RemoteMountsOptions) {
    this.#options = options;
  }

  /** Mounts the layer of a snapshot that is being made. */
  async mount(id: number, origin: RemoteOrigin): Promise<void> {
    await this.#remote().mount(origin.digest, {
      directory: this.#options.directories.fs(id),
      id: mountIdOf(id),
      tocDigest: origin.skipVerify ? "any" : origin.tocDigest,
    });
    this.#mounted.add(id);
  }

  /** Takes away what lies on a directory. */
  async unmount(directory: string): Promise<void> {
    await this.#options.remote?.unmount(directory);
  }

  /** The next use of this snapshot makes sure of its mount. */
  forget(id: number): void {
    this.#mounted.delete(id);
  }

  /**
   * Makes sure that the remote ones of these are mounted.
   *
   * @throws {EsgzError} `MOUNT_FAILED` for the first that is not to be had now; the next call tries again.
   */
  async ensure(snapshots: readonly Snapshot[]): Promise<void> {
    const missing = snapshots.filter(({ id, remote }) => remote !== undefined && !this.#mounted.has(id));
    if (missing.length === 0) return;
    await mapConcurrent(missing, (one) => this.#restoreOnce(one), { concurrency: PARALLEL_RESTORES });
  }

  /** The same after a start, for all that there are: what fails is told and left for later. */
  async restore(snapshots: readonly Snapshot[]): Promise<void> {
    const remote = snapshots.filter((snapshot) => snapshot.remote !== undefined);
    const work = async (snapshot: Snapshot): Promise<void> => {
      await this.#restoreOnce(snapshot).catch(() => undefined);
    };
    await mapConcurrent(remote, work, { concurrency: PARALLEL_RESTORES });
  }

  async #restoreOnce(snapshot: Snapshot): Promise<void> {
    await this.#flights.run(snapshot.id, () => this.#restore(snapshot));
  }

  async #restore(snapshot: Snapshot): Promise<void> {
    const { id, labels, name, remote: origin } = snapshot;
    if (origin === undefined || this.#mounted.has(id)) return;
    const { digest } = origin;
    try {
      await this.mount(id, origin).catch(async (error: unknown) => {
        const again = await this.#options.preparer.prepareAgain(origin, labels);
        if ("reason" in again) throw new Error(`${messageOf(error)}; ${again.reason}`, { cause: error });
        await this.mount(id, origin);
      });
    } catch (cause) {
      const message = messageOf(cause);
      this.#options.onEvent({ kind: "restore-failed", name, digest, message });
      const text = `Cannot use snapshot "${name}": layer ${digest} is unavailable: ${message}`;
      throw new EsgzError("MOUNT_FAILED", text, { cause, details: { digest } });
    }
    this.#options.onEvent({ kind: "restored", name, digest });
  }

  #remote(): RemoteLayers {
    if (this.#options.remote !== undefined) return this.#options.remote;
    throw new EsgzError(
      "NOT_SUPPORTED",
      "Cannot mount layer: expected remote layers to be enabled, got none",
    );
  }
}

/** Chosen so that a restarted host finds its mounts again. */
export function mountIdOf(id: number): string {
  return `snapshot-${id}`;
}
