/**
 * The last steps of a pull to a root: what is neither directory nor content, and what has to come last.
 *
 * @module
 */
import { join } from "node:path";
import { mapConcurrent } from "../async/index.ts";
import { finishDirectories } from "./finish-nodes.ts";
import type { MergedRoot } from "./merged-root.ts";
import { type Omission, OmissionList } from "./omissions.ts";
import type { PullState } from "./pull-state.ts";
import { filesToFinish, runInSlices } from "./resume-files.ts";
import { RootPaths } from "./root-paths.ts";
import { stagedName } from "./stage-layer.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** Nodes that a worker makes in one go. */
const NODES_PER_JOB = 1024;
/** Enough for every worker to have one and to find one, of any number of them. */
const SLICES_AT_ONCE = 16;

/** What finishing works with. */
export interface FinishOptions {
  readonly state: PullState;
  readonly pool: WorkerPool;
  /** 1 for files that are finished already. */
  readonly whole: Uint8Array;
}

/** Makes everything that is not there yet, gives all its metadata, removes the state. Returns what could not be done. */
export async function finishRoot(nodes: MergedRoot, options: FinishOptions): Promise<Omission[]> {
  const { state, pool, whole } = options;
  await runInSlices(filesToFinish(nodes.table, whole), async (slice) => {
    await pool.run({ kind: "finish-shared", files: slice });
  });
  await inSlices(nodes.staged, async (slice) => {
    const moves = slice.map(({ path, size, layer, tarOffset }) => ({
      from: join(state.stagePath(layer), stagedName(tarOffset)),
      to: path,
      size,
    }));
    return await pool.run({ kind: "place", moves });
  });
  const results = await inSlices(
    nodes.specials,
    async (slice) => await pool.run({ kind: "specials", nodes: slice }),
  );
  const missing = new Set(results.flatMap((result) => result.missing ?? []));
  await inSlices(nodes.symlinks, async (slice) => await pool.run({ kind: "symlinks", nodes: slice }));
  const links = nodes.links.filter(({ target }) => !missing.has(target));
  await inSlices(links, async (slice) => await pool.run({ kind: "links", nodes: slice }));
  await pool.run({ kind: "directories", nodes: nodes.directories });
  const omissions = new OmissionList();
  for (const result of await pool.runOnAll({ kind: "omissions" })) omissions.merge(result.omissions ?? []);
  state.remove();
  finishTop(nodes, { state, omissions });
  return omissions.toArray();
}

/** The top directory gets its metadata on this thread, when nothing will be made in it any more. */
function finishTop(
  { root }: MergedRoot,
  { state, omissions }: { readonly state: PullState; readonly omissions: OmissionList },
): void {
  const metadata = {
    uid: process.geteuid?.() ?? 0,
    gid: process.getegid?.() ?? 0,
    umask: undefined,
    omissions,
  };
  const node = { path: "", metadata: root };
  finishDirectories({ paths: new RootPaths(state.directory), metadata }, [node]);
}

/** Runs a job over slices of a list, few at once: what is made for a slice is there only while it is in work. */
async function inSlices<T, R>(items: readonly T[], run: (slice: T[]) => Promise<R>): Promise<R[]> {
  return await mapConcurrent(slicesOf(items), run, { concurrency: SLICES_AT_ONCE });
}

function* slicesOf<T>(items: readonly T[]): Generator<T[], void, undefined> {
  for (let at = 0; at < items.length; at += NODES_PER_JOB) yield items.slice(at, at + NODES_PER_JOB);
}
