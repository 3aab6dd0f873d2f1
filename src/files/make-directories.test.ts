import assert from "node:assert/strict";
import { mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectories, makeDirectoriesSync } from "./make-directories.ts";

const ways = {
  makeDirectories,
  makeDirectoriesSync: async (...call: Parameters<typeof makeDirectoriesSync>) => {
    await Promise.resolve();
    return makeDirectoriesSync(...call);
  },
};

for (const [name, make] of Object.entries(ways)) {
  test(`${name}() makes what is missing, with its permissions, and tells where that begins`, async () => {
    await inScratch(async (root) => {
      assert.equal(await make(join(root, "a/b/c"), { mode: 0o700 }), join(root, "a"));
      assert.equal((await stat(join(root, "a"))).mode & 0o777, 0o700);
      assert.equal((await stat(join(root, "a/b/c"))).mode & 0o777, 0o700);
      assert.equal(await make(join(root, "a/b/d")), join(root, "a/b/d"));
      assert.equal(await make(join(root, "a/b/c")), undefined);
    });
  });

  test(`${name}() passes links to directories, and refuses what is none`, async () => {
    await inScratch(async (root) => {
      await symlink(".", join(root, "link"));
      assert.equal(await make(join(root, "link/a")), join(root, "link/a"));
      assert.equal(await make(join(root, "link")), undefined);
      await writeFile(join(root, "file"), "");
      await symlink("nowhere", join(root, "dangling"));
      await assert.rejects(make(join(root, "file")), { code: "EEXIST" });
      await assert.rejects(make(join(root, "file/below")), { code: "ENOTDIR" });
      await assert.rejects(make(join(root, "dangling")), { code: "EEXIST" });
    });
  });

  test(`${name}() ends where the kernel takes no directories`, async () => {
    const message = "a filesystem that takes no directories";
    await assert.rejects(make("/proc/esgz-nothing/below"), { message });
  });
}

test("makeDirectories() may be asked for the same several times at once", async () => {
  await inScratch(async (root) => {
    const deep = join(root, "a/b/c");
    await Promise.all([makeDirectories(deep), makeDirectories(deep), makeDirectories(join(root, "a/b/d"))]);
    assert.equal((await stat(deep)).isDirectory(), true);
    assert.equal((await stat(join(root, "a/b/d"))).isDirectory(), true);
  });
});

async function inScratch(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "esgz-directories-"));
  try {
    await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}
