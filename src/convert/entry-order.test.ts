import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type OrderedEntry, orderEntries } from "./entry-order.ts";

const dir = (path: string): OrderedEntry => ({ path, type: "dir" });
const reg = (path: string): OrderedEntry => ({ path, type: "reg" });
const link = (path: string, target: string): OrderedEntry => ({ path, type: "hardlink", target });

function order(entries: readonly OrderedEntry[], ...paths: string[]): { first: string[]; dropped: number[] } {
  const { first, dropped } = orderEntries(entries, paths);
  return { first: first.map((index) => `${index} ${entries[index]?.path}`), dropped: [...dropped] };
}

test("orderEntries() puts root, parents and link targets in front of a file", () => {
  const entries = [
    dir(""),
    dir("a"),
    reg("x"),
    dir("t"),
    reg("t/target"),
    dir("a/b"),
    link("a/b/f", "t/target"),
  ];
  assert.deepEqual(order(entries, "a/b/f").first, ["0 ", "3 t", "4 t/target", "1 a", "5 a/b", "6 a/b/f"]);
});

test("orderEntries() keeps the order of the paths and names each entry once", () => {
  const entries = [dir("a"), reg("a/1"), reg("a/2"), reg("b")];
  assert.deepEqual(order(entries, "b", "a/2", "a/1", "b").first, ["3 b", "0 a", "2 a/2", "1 a/1"]);
});

test("orderEntries() ignores paths that are not there", () => {
  assert.deepEqual(order([reg("a")], "none", "a").first, ["0 a"]);
});

test("orderEntries() takes the last of several entries with one name and drops the others", () => {
  const entries = [reg("a"), reg("b"), reg("a"), reg("b"), reg("c")];
  assert.deepEqual(order(entries, "a"), { first: ["2 a"], dropped: [0, 1] });
});

test("orderEntries() keeps an earlier entry that a hard link may need", () => {
  const entries = [reg("a"), link("h", "a"), reg("a"), reg("z")];
  assert.deepEqual(order(entries, "z"), { first: ["3 z"], dropped: [] });
  assert.deepEqual(order(entries, "h"), { first: ["2 a", "1 h"], dropped: [0] });
});

test("orderEntries() ends where hard links form a circle or point to themselves", () => {
  const entries = [link("a", "b"), link("b", "a"), link("c", "c")];
  assert.deepEqual(order(entries, "a", "c").first, ["1 b", "0 a", "2 c"]);
});

test("orderEntries() does not move a symlink that stands where a parent directory should", () => {
  const entries: OrderedEntry[] = [{ path: "lib", type: "symlink" }, reg("lib/x")];
  assert.deepEqual(order(entries, "lib/x").first, ["1 lib/x"]);
});

test("orderEntries() stays fast with very many duplicates", () => {
  const entries = Array.from({ length: 200_000 }, (_, index) => reg(`f${index % 2000}`));
  assert.equal(orderEntries(entries, ["f1"]).dropped.size, 198_000);
});

test("orderEntries() keeps of every name the last entry, and parents and link targets in front", () => {
  const path = fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 3 }).map((parts) => parts.join("/"));
  const entry = fc.record({ path, type: fc.constantFrom("dir", "reg", "hardlink", "symlink"), target: path });
  const entries = fc
    .array(entry, { maxLength: 30 })
    .map((list) =>
      list.map((one): OrderedEntry => (one.type === "hardlink" ? one : { ...one, target: undefined })),
    );
  fc.assert(
    fc.property(entries, fc.array(path, { maxLength: 5 }), (list, paths) => {
      const { first, dropped } = orderEntries(list, paths);
      const last = new Map(list.map(({ path: at }, index) => [at, index]));
      assert.equal(new Set(first).size, first.length);
      for (const wanted of paths) if (last.has(wanted)) assert.ok(first.includes(last.get(wanted) ?? -1));
      for (const [position, index] of first.entries()) {
        assert.equal(last.get(list[index]?.path ?? ""), index);
        assert.ok(!dropped.has(index));
        const parent = (list[index]?.path ?? "").replace(/\/?[^/]*$/, "");
        const above = last.get(parent);
        if (above === undefined || above === index || list[above]?.type !== "dir") continue;
        assert.ok(first.slice(0, position).includes(above));
      }
      for (const index of dropped) assert.notEqual(last.get(list[index]?.path ?? ""), index);
    }),
  );
});
