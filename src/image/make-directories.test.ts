import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectories } from "./make-directories.ts";

test("makeDirectories() makes what is missing, also when others do so at once", async () => {
  const root = await mkdtemp(join(tmpdir(), "esgz-directories-"));
  try {
    const deep = join(root, "a/b/c");
    await Promise.all([makeDirectories(deep), makeDirectories(deep), makeDirectories(join(root, "a/b/d"))]);
    assert.equal((await stat(deep)).isDirectory(), true);
    await writeFile(join(root, "file"), "");
    await assert.rejects(makeDirectories(join(root, "file")), { code: "IO_FAILED" });
    await assert.rejects(makeDirectories(join(root, "file/below")), { code: "IO_FAILED" });
  } finally {
    await rm(root, { recursive: true });
  }
});

test("makeDirectories() ends where the kernel takes no directories", async () => {
  await assert.rejects(makeDirectories("/proc/esgz-nothing/below"), {
    code: "IO_FAILED",
    message: /expected a place where directories can be made/,
  });
});
