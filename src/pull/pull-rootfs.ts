/**
 * An image as a directory tree.
 *
 * ```text
 * indexes of all layers -> layers without one are staged -> merge -> what is there already -> plan
 *   -> ranges in parallel, verified, written -> links, devices, directories
 * ```
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { digestMismatch } from "../oci/index.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { fetchRanges, type FetchedLayer } from "./fetch-ranges.ts";
import { createFetchTable, type FetchTable, markWholeFiles } from "./fetch-table.ts";
import { createFileTable, type FileTable } from "./file-table.ts";
import { finishRoot } from "./finish-root.ts";
import { FlowMonitor } from "./flow-monitor.ts";
import { type IndexedLayer, noticeOf, openLayerIndexes } from "./layer-indexes.ts";
import { OrderedHash } from "./ordered-hash.ts";
import type { PulledLayer } from "./pull-report.ts";
import type { PullSession, TargetOutcome } from "./pull-session.ts";
import { PullState, STATE_NAME } from "./pull-state.ts";
import { interleaveRanges, type LayerPlan, planLayer } from "./range-plan.ts";
import { readPresentFiles, sharedFilesToCreate } from "./resume-files.ts";
import type { RootNodes } from "./root-nodes.ts";
import { RootPaths } from "./root-paths.ts";
import { createDirectories, restoreDirectories } from "./root-skeleton.ts";
import { mergeRootNodes } from "./merge-root-nodes.ts";
import { type StagedLayer, stageLayer } from "./stage-layers.ts";
import { WorkerPool } from "./worker-pool.ts";

/** Compressed bytes that go to a worker at once. */
const BATCH_SIZE = 1 << 20;
/** Files, roughly, that go to a worker at once. */
const BATCH_PIECES = 256;

/** What the steps of a pull to a root share. */
interface RootPull extends PullSession {
  readonly state: PullState;
  readonly pool: WorkerPool;
  readonly indexes: readonly IndexedLayer[];
}

/**
 * Pulls an image into a directory, which must be empty, missing, or left by an interrupted pull of the same image.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `DIGEST_MISMATCH`, `COMPRESSION_INVALID`, `TAR_INVALID`, `NO_SPACE`,
 * `IO_FAILED`; codes of the medium.
 */
export async function pullToRootfs(session: PullSession, directory: string): Promise<TargetOutcome> {
  const { image, phases, progress, emit, signal } = session;
  const state = PullState.claim(directory, image.descriptor.digest);
  await using pool = new WorkerPool(session.tuning.workers, { directory: state.directory });
  const indexes = await openLayerIndexes(image.layers, { observer: wireObserverOf(progress), signal });
  phases.end("index");
  emit({ kind: "index-loaded", seconds: phases.elapsed, layers: indexes.map(noticeOf) });
  const pull: RootPull = { ...session, state, pool, indexes };
  const staged = await stageOpaqueLayers(pull);
  phases.end("transfer");
  const nodes = mergeRootNodes(indexes, staged);
  assertNoConflict(nodes);
  const fetched = await fetchFiles(pull, nodes);
  phases.end("transfer");
  emit({ kind: "finishing" });
  const omissions = await finishRoot(nodes, { state, pool, files: fetched.table, whole: fetched.whole });
  phases.end("finish");
  return {
    layers: indexes.map((index) => pulledLayerOf(index, { session, fetched, staged })),
    reusedBytes: fetched.reusedBytes + stagedReuse(indexes, staged),
    files: nodes.files.length + nodes.staged.length,
    resumed: state.resumed,
    omissions,
  };
}

interface FetchedFiles {
  readonly table: FileTable;
  readonly whole: Uint8Array;
  readonly plans: readonly LayerPlan[];
  readonly reusedBytes: number;
}

/** Counts in `progress` what goes over the wire. */
export function wireObserverOf(progress: PullSession["progress"]): {
  onRequest(): void;
  onBytes(size: number): void;
} {
  return {
    onRequest: () => {
      progress.requests += 1;
    },
    onBytes: (size) => {
      progress.wireBytes += size;
    },
  };
}

async function stageOpaqueLayers(pull: RootPull): Promise<Map<number, StagedLayer>> {
  const opaque = pull.indexes.filter(({ archive }) => archive === undefined);
  for (const { blob } of opaque) if (blob.tail.length < blob.size) blob.forget();
  for (const { layer } of opaque) pull.progress.expect(layer.index, layer.descriptor.size);
  const staged = await mapConcurrent(
    opaque,
    async ({ layer }, { signal }) => [layer.index, await stageLayer(layer, { ...pull, signal })] as const,
    { concurrency: pull.tuning.workers + 1, signal: pull.signal },
  );
  return new Map(staged);
}

/** Fetches the content of all files that lie in seekable layers and are not there yet. */
async function fetchFiles(pull: RootPull, nodes: RootNodes): Promise<FetchedFiles> {
  const { state, pool, phases, progress, signal } = pull;
  const paths = new RootPaths(state.directory);
  const table = createFileTable(nodes.files);
  await pool.runOnAll({ kind: "files", table });
  let reusedBytes = 0;
  if (state.resumed) {
    restoreDirectories(nodes, { paths, keep: [STATE_NAME] });
    reusedBytes = await readPresentFiles(table, { pool, signal });
  }
  const fetch = createFetchTable(table, nodes.files);
  const plans = pull.indexes.flatMap((index) =>
    index.archive === undefined ? [] : [planOf(index, fetch, pull)],
  );
  markWholeFiles(table, fetch, batchesInOrder(plans));
  await pool.runOnAll({ kind: "fetch", table: fetch });
  for (const plan of plans) progress.expect(plan.index, plan.fetchBytes);
  progress.emit();
  phases.end("plan");
  const prepare = async (): Promise<void> => {
    if (!state.resumed) createDirectories(nodes, paths);
    await sharedFilesToCreate(table, fetch, { pool });
  };
  await transfer(pull, { plans, prepare });
  progress.emit();
  return { table, whole: fetch.whole, plans, reusedBytes };
}

/** Whole files are told by the table's order of batches, which is that of the layers. */
function batchesInOrder(plans: readonly LayerPlan[]): { readonly from: number; readonly to: number }[] {
  return plans.flatMap(({ ranges }) => ranges.flatMap(({ batches }) => batches));
}

function planOf({ layer, blob, archive }: IndexedLayer, fetch: FetchTable, { tuning }: RootPull): LayerPlan {
  const facts = { index: layer.index, blobSize: archive?.blobSize ?? blob.size, heldFrom: blob.tailOffset };
  return planLayer(fetch, facts, { ...tuning, batchSize: BATCH_SIZE, batchPieces: BATCH_PIECES });
}

async function transfer(
  pull: RootPull,
  { plans, prepare }: { plans: readonly LayerPlan[]; prepare: () => Promise<void> },
): Promise<void> {
  const { tuning, clock, pool, progress, signal } = pull;
  const layers = fetchedLayersOf(pull, plans);
  const monitor = new FlowMonitor({ clock });
  const watching = new AbortController();
  const watch = monitor.watch(watching.signal);
  // Requests go out first; directories are made while the first bytes travel.
  const ready = Promise.resolve().then(prepare);
  ready.catch(() => undefined);
  try {
    await fetchRanges(interleaveRanges(plans), {
      layerOf: (index) => {
        const layer = layers.get(index);
        if (layer === undefined)
          throw new EsgzError("INTERNAL", `Cannot fetch layer ${index}: it has no plan`);
        return layer;
      },
      pool,
      budget: new BufferBudget({ totalBytes: tuning.bytesInFlight, slotSize: tuning.rangeSize }),
      connections: tuning.connections,
      monitor,
      progress,
      ready,
      signal,
    });
    await ready;
    for (const [index, layer] of layers) assertBlobDigest(pull, { index, layer });
  } finally {
    watching.abort();
    await watch;
  }
}

function fetchedLayersOf(
  { indexes, state }: RootPull,
  plans: readonly LayerPlan[],
): Map<number, FetchedLayer> {
  return new Map(
    indexes.flatMap(({ layer, blob, archive }) => {
      const plan = plans.find(({ index }) => index === layer.index);
      if (archive === undefined || plan === undefined) return [];
      const whole = plan.complete && !state.resumed;
      const fetched: FetchedLayer = {
        blob,
        compression: archive.compression,
        tail: blob.tail,
        tailOffset: blob.tailOffset,
        hash: whole ? new OrderedHash(layer.descriptor.digest) : undefined,
      };
      return [[layer.index, fetched] as const];
    }),
  );
}

/** Hashes what is left of a complete blob, its end, and compares. */
function assertBlobDigest(
  { indexes }: RootPull,
  { index, layer }: { readonly index: number; readonly layer: FetchedLayer },
): void {
  const descriptor = indexes[index]?.layer.descriptor;
  if (layer.hash === undefined || descriptor === undefined) return;
  const rest = layer.tail.subarray(layer.hash.position - layer.tailOffset);
  layer.hash.open(layer.hash.position, rest).advance(rest.length);
  const found = layer.hash.digest();
  if (found !== descriptor.digest) throw digestMismatch(`layer ${index}`, descriptor.digest, found);
}

function assertNoConflict(nodes: RootNodes): void {
  const all = [
    ...nodes.directories,
    ...nodes.files,
    ...nodes.staged,
    ...nodes.symlinks,
    ...nodes.specials,
    ...nodes.links,
  ];
  if (all.every(({ path }) => path !== STATE_NAME)) return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot pull image: expected no "${STATE_NAME}" in its root, which is the name of this pull's own state`,
  );
}

function pulledLayerOf(
  index: IndexedLayer,
  {
    session,
    fetched,
    staged,
  }: {
    session: PullSession;
    fetched: FetchedFiles;
    staged: ReadonlyMap<number, StagedLayer>;
  },
): PulledLayer {
  const notice = noticeOf(index);
  const fetchedBytes = session.progress.fetchedOf(notice.index);
  const plan = fetched.plans.find((candidate) => candidate.index === notice.index);
  if (plan === undefined) {
    const reused = staged.get(notice.index)?.reused === true;
    return { ...notice, fetchedBytes, skippedBytes: 0, blobDigest: reused ? "reused" : "verified" };
  }
  const blobDigest = plan.complete ? "verified" : "not computed";
  return { ...notice, fetchedBytes, skippedBytes: plan.skippedBytes, blobDigest };
}

function stagedReuse(indexes: readonly IndexedLayer[], staged: ReadonlyMap<number, StagedLayer>): number {
  return indexes.reduce(
    (sum, { layer }) => sum + (staged.get(layer.index)?.reused === true ? layer.descriptor.size : 0),
    0,
  );
}
