/**
 * Snapshots in memory, found by name, by parent, and by the target that they were made for.
 *
 * @module
 */
import { TARGET_LABEL } from "./label-keys.ts";
import type { Snapshot } from "./snapshot.ts";

/** All look-ups cost the same however many snapshots there are. */
export class SnapshotIndex {
  readonly #byName = new Map<string, Snapshot>();
  readonly #children = new Map<string, Set<string>>();
  readonly #byTarget = new Map<string, Set<string>>();

  /** The number of snapshots. */
  get size(): number {
    return this.#byName.size;
  }

  /** All snapshots, the oldest name first. */
  all(): IterableIterator<Snapshot> {
    return this.#byName.values();
  }

  /** The snapshot of a name. */
  get(name: string): Snapshot | undefined {
    return this.#byName.get(name);
  }

  /** Adds a snapshot or replaces that of its name. */
  put(snapshot: Snapshot): void {
    const old = this.#byName.get(snapshot.name);
    if (old !== undefined) this.#unlink(old);
    this.#byName.set(snapshot.name, snapshot);
    if (snapshot.parent !== "") addTo(this.#children, snapshot.parent, snapshot.name);
    const target = targetKeyOf(snapshot);
    if (target !== undefined) addTo(this.#byTarget, target, snapshot.name);
  }

  /** Forgets the snapshot of a name. */
  remove(name: string): void {
    const old = this.#byName.get(name);
    if (old === undefined) return;
    this.#unlink(old);
    this.#byName.delete(name);
  }

  /** Whether others have this one as their parent. */
  hasChildren(name: string): boolean {
    return this.#children.has(name);
  }

  /** The snapshots made for a target on a parent (empty for none). */
  withTarget(target: string, parent: string): Snapshot[] {
    const names = this.#byTarget.get(targetKey(target, parent)) ?? [];
    return [...names].flatMap((name) => this.#byName.get(name) ?? []);
  }

  /** The ancestors of a snapshot, the nearest first; a parent that is missing ends the chain. */
  ancestors(parent: string): Snapshot[] {
    const chain: Snapshot[] = [];
    for (let at = this.get(parent); at !== undefined; at = this.get(at.parent)) {
      // Parents are older than their children; a damaged record must not make a circle.
      if (chain.some(({ id }) => id === at?.id)) break;
      chain.push(at);
    }
    return chain;
  }

  /** All that active snapshots and views stand on. */
  bases(): ReadonlySet<Snapshot> {
    const bases = new Set<Snapshot>();
    for (const { kind, parent } of this.all()) {
      if (kind === "committed") continue;
      // Below one that is known all are.
      for (let at = this.get(parent); at !== undefined && !bases.has(at); at = this.get(at.parent))
        bases.add(at);
    }
    return bases;
  }

  #unlink(snapshot: Snapshot): void {
    removeFrom(this.#children, snapshot.parent, snapshot.name);
    const target = targetKeyOf(snapshot);
    if (target !== undefined) removeFrom(this.#byTarget, target, snapshot.name);
  }
}

function targetKeyOf({ labels, parent }: Snapshot): string | undefined {
  const target = labels[TARGET_LABEL];
  return target === undefined ? undefined : targetKey(target, parent);
}

function targetKey(target: string, parent: string): string {
  return `${target.length} ${target} ${parent}`;
}

function addTo(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  if (set === undefined) sets.set(key, new Set([value]));
  else set.add(value);
}

function removeFrom(sets: Map<string, Set<string>>, key: string, value: string): void {
  const set = sets.get(key);
  set?.delete(value);
  if (set?.size === 0) sets.delete(key);
}
