import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ContainerDirectory } from "./container-directory.ts";

test("ContainerDirectory.create() makes a directory for each container, below one that need not be there", async (t) => {
  const scratch = await mkdtemp(join(tmpdir(), "esgz-containers-"));
  t.after(() => rm(scratch, { recursive: true }));
  const parent = join(scratch, "state/of/containers");
  const [one, two] = [await ContainerDirectory.create(parent), await ContainerDirectory.create(parent)];
  assert.notEqual(one.path, two.path);
  assert.deepEqual((await readdir(one.path)).toSorted(), ["etc", "rootfs", "state"]);
});

test("ContainerDirectory.create() ends where no directories can be made", async () => {
  await assert.rejects(ContainerDirectory.create("/proc/esgz-nothing/below"), {
    code: "IO_FAILED",
    message: /^Cannot create container directory below "\/proc\/esgz-nothing\/below": /,
  });
});
