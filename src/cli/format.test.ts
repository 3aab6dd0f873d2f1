import assert from "node:assert/strict";
import { test } from "node:test";
import { formatBytes, formatDuration, formatPercent, formatTable, formatTime, printable } from "./format.ts";

test("formatBytes() uses decimal units with three digits", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.00 kB"],
    [12_345, "12.3 kB"],
    [999_400, "999 kB"],
    [999_600, "1.00 MB"],
    [4 * 2 ** 30, "4.29 GB"],
  ];
  for (const [bytes, text] of cases) assert.equal(formatBytes(bytes), text);
});

test("formatDuration() grows its unit with the time", () => {
  const cases: readonly (readonly [number, string])[] = [
    [312, "0.31s"],
    [12_340, "12.3s"],
    [185_000, "3m05s"],
    [3_720_000, "1h02m"],
  ];
  for (const [ms, text] of cases) assert.equal(formatDuration(ms), text);
});

test("formatPercent() says 100 only when all is done", () => {
  assert.equal(formatPercent(999, 1000), "99%");
  assert.equal(formatPercent(0, 0), "100%");
});

test("formatTable() aligns columns and leaves no space at line ends", () => {
  assert.equal(
    formatTable(
      [
        ["a", "1"],
        ["bbb", "22"],
      ],
      [1],
    ),
    "a     1\nbbb  22\n",
  );
});

test("formatTable() prints nothing for no rows", () => {
  assert.equal(formatTable([]), "");
});

test("formatTime() takes times that no calendar has", () => {
  assert.equal(formatTime(1_700_000_000), "2023-11-14 22:13:20");
  assert.equal(formatTime(-100_000_000_000), "-001199-02-15 14:13:20");
  assert.equal(formatTime(1e15), "@1000000000000000");
});

test("printable() disarms names that would drive the terminal", () => {
  assert.equal(printable("a\u001b[2Jb\n\udcff"), "a\\u{1b}[2Jb\\n\\xff");
});
