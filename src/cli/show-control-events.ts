/**
 * Events of the daemon as progress on stderr.
 *
 * @module
 */
import type { ControlEvent, LayerSummary } from "../daemon/index.ts";
import { shortDigest } from "../oci/index.ts";
import { formatBytes, formatCount, printable } from "./format.ts";
import type { ProgressBoard, RowState } from "./progress-board.ts";

/** Draws the events of one pull or mount on a board. */
export function createEventView(board: ProgressBoard): (event: ControlEvent) => void {
  const layers: LayerSummary[] = [];
  return (event) => {
    switch (event.kind) {
      case "resolved":
        return;
      case "layer":
        if (event.layer.reason !== undefined && layers[event.index] === undefined)
          board.say(`layer ${event.index} travels whole: ${printable(event.layer.reason)}`);
        layers[event.index] = event.layer;
        return;
      case "indexed":
        // Progress until here was of layers that travel whole, from here it is of all.
        board.finish();
        return sayIndex(board, event.ms, layers);
      case "progress":
        return board.setAll(
          event.layers.flatMap((state, index) => rowOf(state, { index, layer: layers[index] })),
        );
      case "note":
        return board.say(printable(event.text));
    }
  };
}

function sayIndex(board: ProgressBoard, ms: number, layers: readonly LayerSummary[]): void {
  const known = layers.filter((layer) => layer !== undefined);
  const lazy = known.filter((layer) => layer.lazy).length;
  const size = known.reduce((sum, layer) => sum + layer.size, 0);
  const summary = `${formatCount(known.length, "layer")}, ${lazy} lazy, ${formatBytes(size)}`;
  board.say(`index loaded in ${(ms / 1000).toFixed(2)}s (${summary})`);
}

function rowOf(
  { doneBytes, totalBytes }: { readonly doneBytes: number; readonly totalBytes: number },
  { index, layer }: { readonly index: number; readonly layer: LayerSummary | undefined },
): readonly (readonly [string, RowState])[] {
  if (totalBytes === 0) return [];
  const label = `layer ${index}${layer === undefined ? "" : ` ${shortDigest(layer.digest)}`}`;
  return [[String(index), { label, done: Math.min(doneBytes, totalBytes), total: totalBytes }]];
}
