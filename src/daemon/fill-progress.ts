/**
 * How far the layers of an image are.
 *
 * @module
 */
import type { Layer } from "../store/index.ts";
import type { ControlEvent } from "./control-protocol.ts";

/** The least time between two events of progress. */
export const PROGRESS_MS = 100;

/**
 * How much of a layer's blob is there: its share of blocks of the data device, since places in the blob are not counted one by
 * one. Of chunks that a crash has left and nobody has verified yet, it is the share of chunks: they are not fetched again unless
 * they are wrong.
 */
export function presentBytesOf(layer: Layer): number {
  const { blobSize } = layer.source;
  const { count, size } = layer.readyBlocks;
  if (layer.complete || layer.chunkCount === 0 || size === 0) return blobSize;
  return Math.floor(blobSize * Math.min(1, count / size + layer.unverifiedCount / layer.chunkCount));
}

/** The event for layers as they are now. */
export function progressOfLayers(layers: readonly Layer[]): Extract<ControlEvent, { kind: "progress" }> {
  return sumOf(
    layers.map((layer) => ({ doneBytes: presentBytesOf(layer), totalBytes: layer.source.blobSize })),
  );
}

/** The event for layers of which so much is known. */
export function sumOf(
  layers: readonly { readonly doneBytes: number; readonly totalBytes: number }[],
): Extract<ControlEvent, { kind: "progress" }> {
  const sum = (key: "doneBytes" | "totalBytes"): number =>
    layers.reduce((total, layer) => total + layer[key], 0);
  return { kind: "progress", doneBytes: sum("doneBytes"), totalBytes: sum("totalBytes"), layers };
}
