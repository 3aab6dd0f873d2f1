/**
 * Mounts that could not be made again after a restart are tried once more.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { MountRecord } from "./mount-record.ts";
import type { View } from "./view.ts";

/** What came of trying. */
export interface RemakeReport {
  /** They stand again. */
  readonly remade: readonly MountRecord[];
  /** Still not. All are ids. */
  readonly failed: readonly { readonly id: string; readonly message: string }[];
}

/** Tries those of the views that have failed and show one of these layers. */
export async function remakeFailed(views: Iterable<View>, layers: readonly Digest[]): Promise<RemakeReport> {
  const remade: MountRecord[] = [];
  const failed: { readonly id: string; readonly message: string }[] = [];
  for (const view of views) {
    const { id, layers: shown } = view.record;
    if (!view.hasFailed || !shown.some((digest) => layers.includes(digest))) continue;
    try {
      if (await view.remakeFailed()) remade.push(view.record);
    } catch (error) {
      failed.push({ id, message: messageOf(error) });
    }
  }
  return { remade, failed };
}
