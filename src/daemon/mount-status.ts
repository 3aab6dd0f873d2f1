/**
 * What goes on in a mount, for clients.
 *
 * @module
 */
import type { LayerFetcher, MountRecord, ViewStatistics } from "../lazyfs/index.ts";
import type { Layer } from "../store/index.ts";
import type { MountStatus } from "./control-protocol.ts";
import { presentBytesOf } from "./fill-progress.ts";

/** What is known of a mount. */
export interface MountFacts {
  /** Those that are held for it. */
  readonly layers: readonly Layer[];
  readonly fetcher: Pick<LayerFetcher, "layerStatistics">;
  /** None of a mount that nobody serves. */
  readonly statistics: ViewStatistics | undefined;
}

/** Puts together what clients are told of a mount. */
export function mountStatus(
  record: MountRecord,
  { layers: held, fetcher, statistics }: MountFacts,
): MountStatus {
  const layers = held.map(layerStatus);
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  const { id, directory, reference, method, writable, createdMs } = record;
  return {
    id,
    directory,
    name: reference,
    method,
    writable,
    createdMs,
    totalBytes: sum(layers.map(({ size }) => size)),
    presentBytes: sum(layers.map(({ presentBytes }) => presentBytes)),
    fetchedBytes: sum(held.map(({ digest }) => fetcher.layerStatistics(digest).fetchedBytes)),
    reads: statistics?.reads ?? 0,
    hits: statistics?.hits ?? 0,
    waiting: (statistics?.waiting ?? []).map(({ path, sinceMs, layer }) => ({
      path: path ?? layer,
      forMs: sinceMs,
    })),
    layers,
  };
}

function layerStatus(layer: Layer): MountStatus["layers"][number] {
  return {
    digest: layer.digest,
    size: layer.source.blobSize,
    lazy: layer.source.tocDigest !== undefined,
    present: layer.complete,
    presentBytes: presentBytesOf(layer),
  };
}
