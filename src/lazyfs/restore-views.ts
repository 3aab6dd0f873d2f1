/**
 * What a process does about the mounts that one before it left.
 *
 * @module
 */
import { closeSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { AdoptedFuse } from "./fuse-claim.ts";
import { checkView } from "./check-view.ts";
import { LAYER_FILES_ID } from "./layer-files.ts";
import { parseMountState, type MountState } from "./mount-record.ts";
import { treeFuseId } from "./view-mounter.ts";
import { homeOf, removeHome } from "./view-home.ts";
import { View, type ViewContext } from "./view.ts";

/** What became of the mounts that were found. All are ids. */
export interface RestoreReport {
  /** They stand, and are served if they need it. */
  readonly kept: readonly string[];
  /** Nobody served them any more: they were mounted again. What had them open sees errors. */
  readonly remade: readonly string[];
  /** They were gone, or never finished. */
  readonly dropped: readonly string[];
  /** They cannot be served or made again now; `remakeFailed()` tries that once more, `unmount()` takes them away. */
  readonly failed: readonly { readonly id: string; readonly message: string }[];
}

interface Report {
  readonly kept: string[];
  readonly remade: string[];
  readonly dropped: string[];
  readonly failed: { readonly id: string; readonly message: string }[];
}

/** Connections by id, each taken once. */
class Adoption {
  readonly #left: Map<string, AdoptedFuse>;

  constructor(adopted: readonly AdoptedFuse[]) {
    this.#left = new Map(adopted.map((fuse) => [fuse.id, fuse]));
  }

  has(id: string): boolean {
    return this.#left.has(id);
  }

  take(id: string): AdoptedFuse | undefined {
    const fuse = this.#left.get(id);
    this.#left.delete(id);
    return fuse;
  }

  get left(): readonly AdoptedFuse[] {
    return [...this.#left.values()];
  }
}

/** Brings the views of a store to where their leases say they are; adds them to `views`. */
export async function restoreViews(
  context: ViewContext,
  found: { readonly adopted: readonly AdoptedFuse[]; readonly views: Map<string, View> },
): Promise<RestoreReport> {
  const report: Report = { kept: [], remade: [], dropped: [], failed: [] };
  const adoption = new Adoption(found.adopted);
  const standing: View[] = [];
  for (const view of await readViews(context, report)) {
    if (view.state.phase !== "making" && (view.state.phase === "remaking" || (await view.stands()))) {
      standing.push(view);
      found.views.set(view.record.id, view);
    } else {
      await view.drop();
      report.dropped.push(view.record.id);
    }
  }
  const hasFiles = adoption.has(LAYER_FILES_ID);
  await serveFiles(context, standing, adoption);
  for (const view of standing) await bringBack(context, view, { adoption, hasFiles, report });
  await dismiss(context, adoption.left);
  await removeStrangers(context, found.views);
  return report;
}

/** In the order in which they were mounted: one may lie on another. */
async function readViews(context: ViewContext, report: Report): Promise<View[]> {
  const views: View[] = [];
  for (const { id, kind, detail } of context.store.leases()) {
    if (kind !== "mount") continue;
    try {
      const home = homeOf(context.directory, id);
      views.push(new View(context, { state: parseMountState(detail), home }));
    } catch {
      // Written by another version: what it stood for cannot be known.
      context.store.removeLease(id);
      report.dropped.push(id);
    }
  }
  return views.toSorted((a, b) => a.record.createdMs - b.record.createdMs);
}

/** The virtual files first: readers of all mounts over them wait. */
async function serveFiles(context: ViewContext, views: readonly View[], adoption: Adoption): Promise<void> {
  const adopted = adoption.take(LAYER_FILES_ID);
  if (adopted === undefined) {
    await context.files.clear();
    return;
  }
  const wanted = views.filter(({ state }) => state.phase === "mounted").flatMap(({ state }) => state.files);
  const usable = new Set<Digest>();
  for (const digest of new Set(wanted)) {
    try {
      await context.held.hold(digest);
      usable.add(digest);
    } catch (error) {
      // Its readers get errors; those of other layers need not.
      context.onEvent({ kind: "read-failed", code: undefined, message: messageOf(error) });
    }
  }
  try {
    await context.files.serveAdopted(
      adopted,
      wanted.filter((digest) => usable.has(digest)),
    );
  } finally {
    for (const digest of usable) await context.held.release(digest);
  }
}

async function bringBack(
  context: ViewContext,
  view: View,
  options: { readonly adoption: Adoption; readonly hasFiles: boolean; readonly report: Report },
): Promise<void> {
  const { adoption, hasFiles, report } = options;
  const { state } = view;
  const { id } = state.record;
  try {
    if (!isServable(state, { adoption, hasFiles }) || !(await isSound(context, view))) {
      await view.remake({ isServed: state.phase === "mounted" && hasFiles });
      report.remade.push(id);
      return;
    }
    if (state.method === "tree") await view.serveAdopted((fuse) => adoption.take(fuse));
    report.kept.push(id);
  } catch (error) {
    report.failed.push({ id, message: messageOf(error) });
  }
}

/** Whether what it shows was left alone. What was changed is not shown any longer than until it is noticed. */
async function isSound(context: ViewContext, view: View): Promise<boolean> {
  try {
    await checkView(context, view.state);
    return true;
  } catch (error) {
    context.onEvent({ kind: "view-changed", id: view.record.id, message: messageOf(error) });
    return false;
  }
}

function isServable(
  state: MountState,
  { adoption, hasFiles }: { readonly adoption: Adoption; readonly hasFiles: boolean },
): boolean {
  if (state.phase !== "mounted") return false;
  if (state.method !== "tree") return state.files.length === 0 || hasFiles;
  return state.plan.trees.every((_, index) => adoption.has(treeFuseId(state.record.id, index)));
}

/** Connections that no mount needs. */
async function dismiss(context: ViewContext, left: readonly AdoptedFuse[]): Promise<void> {
  for (const { id, fd, target } of left) {
    if (target.startsWith(`${context.directory}/`)) {
      await context.mounter.takeAway(target, { lazy: true }).catch(() => undefined);
    }
    closeSync(fd);
    await context.keeper?.disown(id, fd);
  }
}

/** Directories of mounts that no lease knows. */
async function removeStrangers(context: ViewContext, views: ReadonlyMap<string, View>): Promise<void> {
  const root = join(context.directory, "mounts");
  for (const name of await readdir(root)) {
    if (views.has(name) || context.store.leases().some(({ id }) => id === name)) continue;
    try {
      await removeHome(join(root, name));
    } catch (error) {
      context.onEvent({ kind: "cleanup-failed", id: name, message: messageOf(error) });
    }
  }
}
