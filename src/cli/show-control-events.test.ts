import assert from "node:assert/strict";
import { test } from "node:test";
import type { ControlEvent, LayerSummary } from "../daemon/index.ts";
import { ProgressBoard } from "./progress-board.ts";
import { createEventView } from "./show-control-events.ts";

const LAZY: LayerSummary = { digest: `sha256:${"a".repeat(64)}`, size: 2_000_000, lazy: true };
const WHOLE: LayerSummary = {
  digest: `sha256:${"b".repeat(64)}`,
  size: 1_000_000,
  lazy: false,
  reason: "it is\nordinary",
};

test("createEventView() tells of the index, of layers that travel whole, and of progress", () => {
  let text = "";
  let nowMs = 0;
  const write = (more: string): void => void (text += more);
  const board = new ProgressBoard({ write, live: false, columns: 100, rows: 10, nowMs: () => nowMs });
  const show = createEventView(board);
  const events: readonly ControlEvent[] = [
    { kind: "resolved", name: "a", manifest: LAZY.digest, layers: 2, ms: 10 },
    { kind: "layer", index: 1, layer: WHOLE },
    { kind: "layer", index: 0, layer: LAZY },
    { kind: "indexed", ms: 314, bytes: 1000 },
    { kind: "note", text: "be\u0007ware" },
    {
      kind: "progress",
      doneBytes: 1_500_000,
      totalBytes: 3_000_000,
      layers: [
        { doneBytes: 1_500_000, totalBytes: 2_000_000 },
        { doneBytes: 0, totalBytes: 1_000_000 },
      ],
    },
  ];
  for (const event of events) {
    show(event);
    nowMs += 500;
  }
  assert.deepEqual(text.split("\n"), [
    "layer 1 travels whole: it is\\nordinary",
    "index loaded in 0.31s (2 layers, 1 lazy, 3.00 MB)",
    "be\\u{7}ware",
    "50%  1.50 MB of 3.00 MB, 1.50 MB/s, 1.00s left (2.50s elapsed)",
    "",
  ]);
});
