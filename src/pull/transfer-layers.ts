/**
 * The transfer of everything that a plan asks for, and the proof of the blobs that came whole.
 *
 * @module
 */
import { BufferBudget, FlowMonitor } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { digestMismatch } from "../oci/index.ts";
import { fetchRanges, type FetchedLayer } from "./fetch-ranges.ts";
import type { MergedRoot } from "./merged-root.ts";
import { OrderedHash } from "./ordered-hash.ts";
import type { PullSession } from "./pull-session.ts";
import { interleaveRanges, type LayerPlan } from "./range-plan.ts";
import type { WorkerPool } from "./worker-pool.ts";

/** What the transfer works with. */
export interface TransferOptions {
  readonly plans: readonly LayerPlan[];
  /** Resolves when workers may begin to write. */
  readonly ready: Promise<void>;
}

/**
 * Fetches, verifies and writes what the plans ask for.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `COMPRESSION_INVALID`, `NO_SPACE`, `IO_FAILED`; codes of the medium.
 */
export async function transferLayers(
  pull: PullSession & { readonly root: MergedRoot; readonly pool: WorkerPool },
  { plans, ready }: TransferOptions,
): Promise<void> {
  const { tuning, clock, pool, progress, signal, root } = pull;
  const layers = fetchedLayers(root, plans);
  const monitor = new FlowMonitor({ clock });
  const watching = new AbortController();
  const watch = monitor.watch(watching.signal);
  ready.catch(() => undefined);
  try {
    await fetchRanges(interleaveRanges(plans), {
      layerOf: (index) => layerAt(layers, index),
      pool,
      budget: new BufferBudget({ totalBytes: tuning.bytesInFlight, slotSize: tuning.rangeSize }),
      connections: tuning.connections,
      monitor,
      progress,
      ready,
      signal,
    });
    await ready;
    for (const [index, layer] of layers) assertBlobDigest(root, { index, layer });
  } finally {
    watching.abort();
    await watch;
    progress.emit();
  }
}

function fetchedLayers(root: MergedRoot, plans: readonly LayerPlan[]): Map<number, FetchedLayer> {
  return new Map(
    root.sources.flatMap(({ notice, blob, compression, descriptor }) => {
      const plan = plans.find(({ index }) => index === notice.index);
      if (plan === undefined || compression === undefined) return [];
      const hash = plan.complete ? new OrderedHash(descriptor.digest) : undefined;
      const { tail, tailOffset } = blob;
      return [[notice.index, { blob, compression, tail, tailOffset, hash }] as const];
    }),
  );
}

function layerAt(layers: ReadonlyMap<number, FetchedLayer>, index: number): FetchedLayer {
  const layer = layers.get(index);
  if (layer !== undefined) return layer;
  throw new EsgzError("INTERNAL", `Cannot fetch layer ${index}: it has no plan`);
}

/** Hashes what is left of a complete blob, its end, and compares. */
function assertBlobDigest(
  root: MergedRoot,
  { index, layer }: { readonly index: number; readonly layer: FetchedLayer },
): void {
  const descriptor = root.sources[index]?.descriptor;
  if (layer.hash === undefined || descriptor === undefined) return;
  const rest = layer.tail.subarray(layer.hash.position - layer.tailOffset);
  layer.hash.open(layer.hash.position, rest).advance(rest.length);
  const found = layer.hash.digest();
  if (found !== descriptor.digest) throw digestMismatch(`layer ${index}`, descriptor.digest, found);
}
