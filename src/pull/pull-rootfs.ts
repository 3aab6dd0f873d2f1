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
import { makeDirectories } from "../image/index.ts";
import { type FetchTable, createFetchTable, markWholeFiles } from "./fetch-table.ts";
import { finishRoot } from "./finish-root.ts";
import { type MergedRoot, openMergedRoot } from "./merged-root.ts";
import type { PulledLayer } from "./pull-report.ts";
import type { PullSession, TargetOutcome } from "./pull-session.ts";
import { PullState, STATE_NAME } from "./pull-state.ts";
import { type LayerPlan, planLayer } from "./range-plan.ts";
import { readPresentFiles, sharedFilesToCreate } from "./resume-files.ts";
import { RootPaths } from "./root-paths.ts";
import { createDirectories, restoreDirectories } from "./root-skeleton.ts";
import { transferLayers } from "./transfer-layers.ts";
import { startWorkers, type WorkerPool } from "./worker-pool.ts";

/** Compressed bytes that go to a worker at once. */
const BATCH_SIZE = 1 << 20;
/** With fewer files, what indexes leave behind is not worth the tens of milliseconds that collecting takes. */
const MANY_FILES = 20_000;
/** Files, roughly, that go to a worker at once. */
const BATCH_PIECES = 256;

/** What the steps of a pull to a root share. */
interface RootPull extends PullSession {
  readonly state: PullState;
  readonly pool: WorkerPool;
  readonly root: MergedRoot;
}

/**
 * Pulls an image into a directory, which must be empty, missing, or left by an interrupted pull of the same image.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, also while another process pulls into it; `DIGEST_MISMATCH`, `COMPRESSION_INVALID`,
 * `TAR_INVALID`, `NO_SPACE`, `IO_FAILED`; codes of the medium.
 */
export async function pullToRootfs(session: PullSession, directory: string): Promise<TargetOutcome> {
  const { image, phases, emit } = session;
  await makeDirectories(directory);
  using state = PullState.claim(directory, image.descriptor.digest);
  await using pool = startWorkers(session.tuning.workers, { directory: state.directory });
  const root = await openMergedRoot(session, { state, pool });
  const pull: RootPull = { ...session, state, pool, root };
  const reusedBytes = await prepare(pull);
  const { fetch, plans } = await planFetch(pull);
  if (root.table.files + root.staged.length >= MANY_FILES) session.collectGarbage();
  phases.end("plan");
  await transferLayers(pull, { plans, ready: createTree(pull, fetch) });
  phases.end("transfer");
  emit({ kind: "finishing" });
  const omissions = await finishRoot(root, { state, pool, whole: fetch.whole });
  phases.end("finish");
  return {
    layers: root.sources.map(({ notice, reused }) =>
      pulledLayer(session, { notice, reused, plan: plans.find(({ index }) => index === notice.index) }),
    ),
    reusedBytes:
      reusedBytes + root.sources.reduce((sum, { reused, blob }) => sum + (reused ? blob.size : 0), 0),
    files: root.table.files + root.staged.length,
    resumed: state.resumed,
    omissions,
  };
}

/** Gives the workers their tables, and looks at what an earlier pull left. Returns the bytes of it that are right. */
async function prepare({ root, state, pool, signal }: RootPull): Promise<number> {
  const { table } = root;
  const told = pool.runOnAll({ kind: "files", table });
  if (!state.resumed) {
    await told;
    return 0;
  }
  restoreDirectories(root, { paths: new RootPaths(state.directory), keep: [STATE_NAME] });
  await told;
  return await readPresentFiles(table, { pool, signal });
}

async function planFetch({ root, tuning, pool, progress }: RootPull): Promise<{
  readonly fetch: FetchTable;
  readonly plans: readonly LayerPlan[];
}> {
  const fetch = createFetchTable(root.table);
  const plans = root.sources.flatMap(({ notice, blob, compression }) => {
    if (compression === undefined) return [];
    const layer = { index: notice.index, blobSize: blob.size, heldFrom: blob.tailOffset };
    return [planLayer(fetch, layer, { ...tuning, batchSize: BATCH_SIZE, batchPieces: BATCH_PIECES })];
  });
  const batches = plans.flatMap(({ ranges }) => ranges.flatMap((range) => range.batches));
  markWholeFiles(root.table, fetch, batches);
  await pool.runOnAll({ kind: "fetch", table: fetch });
  for (const plan of plans) progress.expect(plan.index, plan.fetchBytes);
  progress.emit();
  return { fetch, plans };
}

/** Makes directories and the files that no single batch makes. Requests go out first: the first bytes take a while. */
async function createTree({ root, state, pool }: RootPull, fetch: FetchTable): Promise<void> {
  await Promise.resolve();
  if (!state.resumed) createDirectories(root, new RootPaths(state.directory));
  await sharedFilesToCreate(root.table, fetch, { pool });
}

function pulledLayer(
  session: PullSession,
  {
    notice,
    reused,
    plan,
  }: {
    readonly notice: MergedRoot["sources"][number]["notice"];
    readonly reused: boolean;
    readonly plan: LayerPlan | undefined;
  },
): PulledLayer {
  const fetchedBytes = session.progress.fetchedOf(notice.index);
  if (plan === undefined) {
    return { ...notice, fetchedBytes, skippedBytes: 0, blobDigest: reused ? "reused" : "verified" };
  }
  const blobDigest = plan.complete ? "verified" : "not computed";
  return { ...notice, fetchedBytes, skippedBytes: plan.skippedBytes, blobDigest };
}
