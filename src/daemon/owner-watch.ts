/**
 * Looks after the processes that mounts belong to.
 *
 * @module
 */
import { isRunning, type ProcessIdentity } from "../files/index.ts";
import type { MountExtras } from "./mount-extras.ts";

/** A mount whose owner has ended. */
export interface OrphanMount {
  readonly id: string;
  readonly owner: ProcessIdentity;
}

const LOOK_MS = 1000;

/** Tells of mounts whose owners have ended, again and again until they are gone. Looks only while there are owners. */
export class OwnerWatch implements Disposable {
  readonly #extras: MountExtras;
  readonly #onOrphan: (mount: OrphanMount) => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(extras: MountExtras, onOrphan: (mount: OrphanMount) => void) {
    this.#extras = extras;
    this.#onOrphan = onOrphan;
  }

  /** There may be an owner now. */
  watch(): void {
    if (this.#timer !== undefined || this.#extras.owned().length === 0) return;
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    const owned = this.#extras.owned();
    if (owned.length === 0) this[Symbol.dispose]();
    for (const mount of owned) if (!isRunning(mount.owner)) this.#onOrphan(mount);
  }
}
