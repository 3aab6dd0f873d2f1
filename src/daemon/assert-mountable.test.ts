import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { assertMountable } from "./assert-mountable.ts";

test("assertMountable() refuses what would cover the store or the kernel's filesystems", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "esgz-mountable-"));
  t.after(async () => await rm(root, { recursive: true }));
  const store = join(root, "store");
  for (const name of ["store", "store/roots/1", "store-2", "images"])
    await mkdir(join(root, name), { recursive: true });
  await symlink(root, join(root, "images/up"));
  for (const directory of ["/", "/proc", "/dev", "/sys", store, root, join(root, "images/up")]) {
    await assert.rejects(assertMountable(directory, store), { code: "REQUEST_INVALID" }, directory);
  }
  for (const name of ["store/roots/1", "store-2", "images"]) await assertMountable(join(root, name), store);
});
