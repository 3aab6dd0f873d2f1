/**
 * What is going on in a mount.
 *
 * @module
 */
import { ErofsReader } from "../erofs/index.ts";
import type { Digest } from "../oci/index.ts";
import { findFilesAt } from "./file-at.ts";
import type { HeldLayers } from "./held-layers.ts";
import { MetaFile } from "./meta-file.ts";
import type { MountState, TreePlan } from "./mount-record.ts";
import type { RangeFetcher, WaitingRange } from "./range-fetcher.ts";
import type { ReadCounts } from "./read-counters.ts";

/** Counts of a mount's layers since they were opened; mounts that share a layer share its counts. */
export interface ViewStatistics extends ReadCounts {
  /** What readers wait for now. */
  readonly waiting: readonly WaitingFile[];
}

/** A read that waits. */
export interface WaitingFile extends WaitingRange {
  readonly layer: Digest;
  /** The file that lies there, if one does. */
  readonly path: string | undefined;
}

const META_PAGES = 32;

/** Sums up a mount. @throws {EsgzError} `EROFS_INVALID` for an image that cannot be read */
export async function readViewStatistics(
  context: { readonly held: HeldLayers; readonly fetcher: RangeFetcher },
  { plan, record }: MountState,
): Promise<ViewStatistics> {
  const total = { reads: 0, hits: 0, hitBytes: 0 };
  for (const digest of new Set(record.layers)) {
    const counts = context.held.get(digest)?.counters.counts();
    total.reads += counts?.reads ?? 0;
    total.hits += counts?.hits ?? 0;
    total.hitBytes += counts?.hitBytes ?? 0;
  }
  const waiting: WaitingFile[] = [];
  for (const tree of plan.trees) waiting.push(...(await waitingIn(tree, context.fetcher)));
  return { ...total, waiting };
}

async function waitingIn(tree: TreePlan, fetcher: RangeFetcher): Promise<WaitingFile[]> {
  const ranges = tree.layers.flatMap((layer, device) =>
    fetcher.layerStatistics(layer).waiting.map((range) => ({ ...range, layer, device })),
  );
  if (ranges.length === 0) return [];
  using meta = new MetaFile(tree.meta, { maxPages: META_PAGES });
  const paths = await findFilesAt(new ErofsReader(meta), ranges);
  return ranges.map(({ offset, size, sinceMs, layer }, at) => {
    return { offset, size, sinceMs, layer, path: paths[at] };
  });
}
