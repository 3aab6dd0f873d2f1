import assert from "node:assert/strict";
import { test } from "node:test";
import { ProgressBoard } from "./progress-board.ts";

function boardAt(clock: { nowMs: number }, live: boolean): { board: ProgressBoard; text: () => string } {
  let text = "";
  const write = (more: string): void => void (text += more);
  const board = new ProgressBoard({ write, live, columns: 100, rows: 10, nowMs: () => clock.nowMs });
  return { board, text: () => text };
}

test("ProgressBoard prints plain lines at every tenth where the cursor cannot move", () => {
  const clock = { nowMs: 0 };
  const { board, text } = boardAt(clock, false);
  for (let done = 0; done <= 1000; done += 50) {
    clock.nowMs = done * 2;
    board.set("a", { label: "layer", done: done * 1000, total: 1_000_000 });
  }
  const lines = text().trimEnd().split("\n");
  assert.equal(lines.length, 10);
  assert.equal(lines[4], "50%  500 kB of 1.00 MB, 500 kB/s, 1.00s left (1.00s elapsed)");
  assert.match(lines[9] ?? "", /^100% {2}1.00 MB of 1.00 MB, 500 kB\/s \(2.00s elapsed\)$/);
});

test("ProgressBoard redraws its rows in place on a terminal", () => {
  const clock = { nowMs: 0 };
  const { board, text } = boardAt(clock, true);
  board.set("a", { label: "aaaa", done: 0, total: 100 });
  clock.nowMs = 500;
  board.set("a", { label: "aaaa", done: 50, total: 100 });
  board.finish();
  assert.match(text(), /aaaa \[={10} {10}\] {2}50% 50 B \/ 100 B/);
  assert.equal(text().endsWith("\u001b[2A\u001b[J"), true);
});

test("ProgressBoard draws no more rows than fit and counts the rest", () => {
  const clock = { nowMs: 0 };
  const { board, text } = boardAt(clock, true);
  for (let at = 0; at < 40; at += 1) {
    clock.nowMs += 200;
    board.set(`${at}`, { label: `layer ${at}`, done: at < 20 ? 1 : 0, total: 1 });
  }
  const last = text().split("\u001b[J").at(-1) ?? "";
  assert.equal(last.trimEnd().split("\n").length, 8);
  assert.match(last, /20 of 40 done/);
});
