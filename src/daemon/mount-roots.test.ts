import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { MountRoots } from "./mount-roots.ts";

test("MountRoots makes places and removes its own, if they are empty", async (t) => {
  const store = await mkdtemp(join(tmpdir(), "esgz-roots-"));
  t.after(() => rm(store, { recursive: true }));
  const roots = new MountRoots(store);
  const [one, two] = [await roots.make("one"), await roots.make("two")];
  assert.deepEqual([one, two], [join(store, "roots/one"), join(store, "roots/two")]);
  assert.equal(await roots.make("one"), one);
  await writeFile(join(two, "file"), "");
  const foreign = join(store, "roots-of-others");
  await mkdir(foreign);
  for (const place of [one, one, two, foreign]) await roots.remove(place);
  assert.deepEqual((await readdir(store)).toSorted(), ["roots", "roots-of-others"]);
  assert.deepEqual(await readdir(join(store, "roots")), ["two"]);
});
