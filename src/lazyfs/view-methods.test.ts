import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ViewMethods } from "./view-methods.ts";

test("ViewMethods tries each way once, leaves nothing behind, and tries again after a failure", async (t) => {
  const scratch = await mkdtemp(join(tmpdir(), "esgz-methods-"));
  t.after(() => rm(scratch, { recursive: true }));
  const directory = join(scratch, "later");
  const methods = new ViewMethods(directory);
  await assert.rejects(methods.probe(), { code: "IO_FAILED" });
  await mkdir(directory);
  const support = await methods.probe();
  assert.equal(support.method, support.methods[0]);
  // Each of the three works, or it is said why not.
  assert.equal(support.methods.length + support.reasons.length, 3);
  assert.equal(await methods.probe(), support);
  assert.deepEqual(await readdir(directory), []);
});

test("ViewMethods.choose() takes what is wanted without trying it", async () => {
  const methods = new ViewMethods("/nowhere/at/all");
  assert.deepEqual(await methods.choose("tree"), ["tree"]);
  await assert.rejects(methods.choose("auto"), { code: "IO_FAILED" });
});
