/**
 * The tables of contents of all layers at once, before anything else is fetched.
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import type { Archive } from "../estargz/index.ts";
import { type Layer, openLayerArchive } from "../image/index.ts";
import type { LayerNotice } from "./pull-report.ts";
import { RetainedBlob, type WireObserver } from "./retained-blob.ts";

/** A layer and the way it will go. */
export interface IndexedLayer {
  readonly layer: Layer;
  /** Remembers the end of the blob, which came with the index. */
  readonly blob: RetainedBlob;
  /** Undefined for a layer that has to travel whole. */
  readonly archive: Archive | undefined;
  /** Why it has to. */
  readonly reason: string | undefined;
}

/** Ends of blobs that all layers together may keep in memory. */
const RETAINED_BYTES = 32 << 20;

/**
 * Opens the index of every layer, all of them at the same time: round trips do not add up with the number of layers.
 * Nothing but a failure of the medium makes this fail: a layer whose index is missing or broken travels whole.
 */
export async function openLayerIndexes(
  layers: readonly Layer[],
  options: { readonly observer: WireObserver; readonly signal: AbortSignal },
): Promise<IndexedLayer[]> {
  const budget = { bytes: RETAINED_BYTES };
  return await mapConcurrent(
    layers,
    async (layer, { signal }) => {
      const blob = new RetainedBlob(layer.blob, { budget, observer: options.observer });
      const opened = await openLayerArchive({ ...layer, blob }, { signal });
      return opened.kind === "seekable"
        ? { layer: { ...layer, blob }, blob, archive: opened.archive, reason: undefined }
        : { layer: { ...layer, blob }, blob, archive: undefined, reason: opened.reason };
    },
    { concurrency: layers.length, signal: options.signal },
  );
}

/** What is said of a layer. */
export function noticeOf({ layer, archive, reason }: IndexedLayer): LayerNotice {
  const { digest, size } = layer.descriptor;
  const facts = { index: layer.index, digest, size };
  if (archive !== undefined) return { ...facts, way: "ranges" };
  return { ...facts, way: "whole", ...(reason === undefined ? {} : { reason }) };
}
