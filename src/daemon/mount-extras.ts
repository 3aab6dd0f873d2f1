/**
 * What the daemon remembers of a mount beside what the views do.
 *
 * @module
 */
import type { ProcessIdentity } from "../files/index.ts";
import type { Store } from "../store/index.ts";

/** One mount. */
export interface MountExtra {
  /** Whether its image is filled while the link is idle. */
  readonly background: boolean;
  /** What was written to it goes with it. */
  readonly discard?: boolean;
  /** It ends with this process. */
  readonly owner?: ProcessIdentity;
}

const KIND = "mount-extra";
const NOTHING: MountExtra = { background: false };

/** Kept in leases without layers: also over restarts. */
export class MountExtras {
  readonly #store: Store;
  readonly #extras = new Map<string, MountExtra>();

  /** @throws {EsgzError} `STORE_INVALID` */
  constructor(store: Store) {
    this.#store = store;
    for (const { id, kind, detail } of store.leases()) {
      if (kind === KIND) this.#extras.set(id.slice(KIND.length + 1), JSON.parse(detail) as MountExtra);
    }
  }

  /** The mounts that have an owner. */
  owned(): readonly { readonly id: string; readonly owner: ProcessIdentity }[] {
    return [...this.#extras].flatMap(([id, { owner }]) => (owner === undefined ? [] : [{ id, owner }]));
  }

  /** What is known of a mount. */
  get(mount: string): MountExtra {
    return this.#extras.get(mount) ?? NOTHING;
  }

  /** @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  set(mount: string, extra: MountExtra): void {
    const lease = { id: leaseOf(mount), kind: KIND, layers: [], detail: JSON.stringify(extra) };
    // A power loss ends the mount as well.
    this.#store.setLease(lease, { durable: false });
    this.#extras.set(mount, extra);
  }

  /** Forgets a mount. @throws {EsgzError} `STORE_INVALID` */
  remove(mount: string): void {
    if (this.#extras.delete(mount)) this.#store.removeLease(leaseOf(mount), { durable: false });
  }

  /** Forgets all other mounts. @throws {EsgzError} `STORE_INVALID` */
  keepOnly(mounts: ReadonlySet<string>): void {
    for (const mount of this.#extras.keys()) if (!mounts.has(mount)) this.remove(mount);
  }
}

function leaseOf(mount: string): string {
  return `${KIND}:${mount}`;
}
