/**
 * Looks at a mount again and again, past the cache, and compares everything: `node view-reader-process.ts DIRECTORY`. Says
 * "file" for each file and "round" after each round; ends after the round in which its standard input is closed, with status 0 if all was right.
 */
import assert from "node:assert/strict";
import { closeSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describeMount } from "./describe-mount.ts";
import { describeTree, deviceContent } from "./erofs-trees.ts";
import { dropCached } from "./linux.ts";
import { twoLayersMerged } from "./view-images.ts";

const [, , root = "", isOverlay] = process.argv;
const wanted = describeTree(twoLayersMerged(), [deviceContent(0), deviceContent(1)]);
let isLast = false;
process.stdin.on("end", () => (isLast = true)).resume();
do {
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const fd = openSync(join(entry.parentPath, entry.name), "r");
    dropCached(fd);
    closeSync(fd);
  }
  const found = describeMount(root);
  for (const [path, one] of Object.entries(wanted)) {
    assert.equal(found[path]?.content, one.content, path);
    if (isOverlay === undefined) assert.deepEqual(found[path], one);
  }
  assert.deepEqual(Object.keys(found).sort(), Object.keys(wanted).sort());
  process.stdout.write("round\n");
  await setImmediate();
} while (!isLast);
