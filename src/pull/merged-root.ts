/**
 * From the layers of an image to the tables of a pull.
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { findRootNode, type RootTree } from "../image/index.ts";
import type { Descriptor } from "../oci/index.ts";
import { createFileTable, type FileTable } from "./file-table.ts";
import { type IndexedLayer, noticeOf, openLayerIndexes } from "./layer-indexes.ts";
import { mergeRootTree, nodesOf } from "./merge-root-nodes.ts";
import type { LayerNotice } from "./pull-report.ts";
import type { PullSession } from "./pull-session.ts";
import { type PullState, STATE_NAME } from "./pull-state.ts";
import type { RetainedBlob } from "./retained-blob.ts";
import type { RootNodes } from "./root-nodes.ts";
import { type StagedLayer, stageLayer } from "./stage-layers.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What of a layer is needed after its index has been read. */
export interface LayerSource {
  readonly notice: LayerNotice;
  readonly descriptor: Descriptor;
  readonly blob: RetainedBlob;
  /** Undefined for a layer that was staged whole. */
  readonly compression: "gzip" | "zstd" | undefined;
  /** Whether it was staged by an earlier pull. */
  readonly reused: boolean;
}

/** A root to be made; regular files of seekable layers are in the table. */
export interface MergedRoot extends Omit<RootNodes, "files"> {
  readonly table: FileTable;
  readonly sources: readonly LayerSource[];
}

/**
 * Reads all indexes, stages the layers that have none, and merges. What indexes take in memory is free when the trees are
 * merged, and what trees take when this returns: before the transfer, which is long.
 */
export async function openMergedRoot(
  session: PullSession,
  options: { readonly state: PullState; readonly pool: WorkerPool },
): Promise<MergedRoot> {
  const { tree, sources } = await openMergedTree(session, options);
  assertNoConflict(tree);
  const { files, ...nodes } = nodesOf(tree);
  return { ...nodes, table: createFileTable(files), sources };
}

async function openMergedTree(
  session: PullSession,
  { state, pool }: { readonly state: PullState; readonly pool: WorkerPool },
): Promise<{ readonly tree: RootTree; readonly sources: readonly LayerSource[] }> {
  const { image, phases, progress, emit, signal } = session;
  const indexes = await openLayerIndexes(image.layers, { observer: progress.wire, signal });
  phases.end("index");
  emit({ kind: "index-loaded", seconds: phases.elapsed, layers: indexes.map(noticeOf) });
  const staged = await stageOpaqueLayers(indexes, { session, state, pool });
  phases.end("transfer");
  const tree = mergeRootTree(indexes, staged);
  return { tree, sources: indexes.map((index) => sourceOf(index, staged)) };
}

async function stageOpaqueLayers(
  indexes: readonly IndexedLayer[],
  { session, state, pool }: { session: PullSession; state: PullState; pool: WorkerPool },
): Promise<Map<number, StagedLayer>> {
  const { progress, tuning } = session;
  const opaque = indexes.filter(({ archive }) => archive === undefined);
  // Of layers with an index this is the most that may travel; the plan will tell.
  for (const { layer } of indexes) progress.expect(layer.index, layer.descriptor.size);
  const staged = await mapConcurrent(
    opaque,
    async ({ layer }, { signal }) =>
      [layer.index, await stageLayer(layer, { state, pool, progress, signal })] as const,
    { concurrency: tuning.workers + 1, signal: session.signal },
  );
  return new Map(staged);
}

function sourceOf(index: IndexedLayer, staged: ReadonlyMap<number, StagedLayer>): LayerSource {
  const { layer, blob, archive } = index;
  return {
    notice: noticeOf(index),
    descriptor: layer.descriptor,
    blob,
    compression: archive?.compression,
    reused: staged.get(layer.index)?.reused === true,
  };
}

function assertNoConflict(tree: RootTree): void {
  if (findRootNode(tree, STATE_NAME) === undefined) return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot pull image: expected no "${STATE_NAME}" in its root, which is the name of this pull's own state`,
  );
}
