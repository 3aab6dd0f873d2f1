import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeTable } from "./node-table.ts";

test("a NodeTable gives the root node 1, and one number to each value", () => {
  const table = new NodeTable("/");
  assert.equal(table.get(1), "/");
  assert.deepEqual([table.remember("a"), table.remember("b"), table.remember("a")], [2, 3, 2]);
  assert.equal(table.get(3), "b");
});

test("a node is dropped when all its lookups are forgotten, and its number is not used again", () => {
  const table = new NodeTable("/");
  table.remember("a");
  table.remember("a");
  table.forget(2, 1);
  assert.equal(table.get(2), "a");
  table.forget(2, 1);
  assert.throws(() => table.get(2), { errno: 116 });
  assert.equal(table.size, 1);
  assert.equal(table.remember("a"), 3);
});

test("the root and unknown nodes cannot be forgotten", () => {
  const table = new NodeTable("/");
  table.forget(1, 1000);
  table.forget(99, 1);
  assert.equal(table.get(1), "/");
});
