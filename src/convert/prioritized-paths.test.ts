import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrioritizedList, selectPrioritized } from "./prioritized-paths.ts";

const PATHS = new Set(["", "b", "a", "lib", "lib/z.so", "lib/B.so", "lib/a.so", "lib/a[1].so", "lib/a1.so"]);

function select(...lines: string[]): { paths: readonly string[]; matched: string[] } {
  const { paths, matched } = selectPrioritized(parsePrioritizedList(lines), PATHS);
  return { paths, matched: [...matched] };
}

test("selectPrioritized() keeps the order of the lines and sorts the matches of each", () => {
  assert.deepEqual(select("lib/z*", "lib/*.so", "a").paths, [
    "lib/z.so",
    "lib/B.so",
    "lib/a.so",
    "lib/a1.so",
    "lib/a[1].so",
    "a",
  ]);
});

test("selectPrioritized() says which patterns chose something", () => {
  assert.deepEqual(select("/a", "missing", "none/*").matched, ["a"]);
});

test("selectPrioritized() prefers a file whose name is the pattern itself", () => {
  assert.deepEqual(select("lib/a[1].so").paths, ["lib/a[1].so"]);
});

test("parsePrioritizedList() leaves out blank lines and comments", () => {
  assert.deepEqual(
    parsePrioritizedList(["", "  ", "# first", "a", "#b", "/b/"]).map(({ pattern }) => pattern),
    ["a", "b"],
  );
});
