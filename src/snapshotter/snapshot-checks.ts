/**
 * What must hold before a snapshot is made or committed.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { SnapshotIndex } from "./snapshot-index.ts";
import type { Snapshot } from "./snapshot.ts";

/**
 * A name must be free, and a parent committed.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `SNAPSHOT_NOT_FOUND` (the parent), `REQUEST_INVALID`
 */
export function checkNewSnapshot(
  index: SnapshotIndex,
  name: string,
  { parent }: { readonly parent: string },
): void {
  if (name === "") throw new EsgzError("REQUEST_INVALID", "Cannot make snapshot: expected a name, got none");
  if (index.get(name) !== undefined)
    throw new EsgzError("ALREADY_EXISTS", `Cannot make snapshot "${name}": it exists already`);
  if (parent === "") return;
  const found = index.get(parent);
  if (found === undefined) {
    const text = `Cannot make snapshot "${name}": expected its parent "${parent}", got none`;
    throw new EsgzError("SNAPSHOT_NOT_FOUND", text);
  }
  if (found.kind === "committed") return;
  const text = `Cannot make snapshot "${name}": expected parent "${parent}" to be committed, got ${KINDS[found.kind]}`;
  throw new EsgzError("REQUEST_INVALID", text);
}

/** @throws {EsgzError} `PRECONDITION_FAILED` for what is not active. */
export function checkActive({ kind, name }: Snapshot): void {
  if (kind === "active") return;
  const text = `Cannot commit snapshot "${name}": expected an active one, got ${KINDS[kind]}`;
  throw new EsgzError("PRECONDITION_FAILED", text);
}

/**
 * The parent after a commit: a snapshot that was prepared on nothing gets the one that is asked for, another keeps its own.
 *
 * @throws {EsgzError} `REQUEST_INVALID` if it should get another one.
 */
export function committedParent({ name, parent }: Snapshot, wanted: string): string {
  if (wanted === "" || wanted === parent) return parent;
  if (parent === "") return wanted;
  const text = `Cannot commit snapshot "${name}": expected its parent "${parent}" or none, got "${wanted}"`;
  throw new EsgzError("REQUEST_INVALID", text);
}

const KINDS: Readonly<Record<Snapshot["kind"], string>> = {
  active: "an active one",
  view: "a view",
  committed: "a committed one",
};
