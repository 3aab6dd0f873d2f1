import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findInRoot, readInRoot, resolveInRoot } from "./root-view.ts";

let scratch = "";
before(async () => {
  scratch = await mkdtemp(join(tmpdir(), "esgz-root-view-"));
  for (const name of ["low/etc", "low/real", "top/etc", "top/real", "outside"]) {
    await mkdir(join(scratch, name), { recursive: true });
  }
  await writeFile(join(scratch, "outside/secret"), "secret");
  await writeFile(join(scratch, "low/real/file"), "low");
  await writeFile(join(scratch, "top/etc/own"), "top");
});
after(() => rm(scratch, { recursive: true, force: true }));

const limit = { limitBytes: 100 };

test("readInRoot() keeps absolute and climbing symlinks inside", async () => {
  const root = { directories: [join(scratch, "low")] };
  await symlink(join(scratch, "outside/secret"), join(scratch, "low/absolute"));
  await symlink("../../../../../../../../../../etc/passwd", join(scratch, "low/climbing"));
  await symlink("/real", join(scratch, "low/inside"));
  assert.equal(await readInRoot(root, "/absolute", limit), "");
  assert.equal(await readInRoot(root, "/climbing", limit), "");
  assert.equal(await readInRoot(root, "/inside/../real/file", limit), "low");
  assert.equal(await readInRoot(root, "/real/file", { limitBytes: 2 }), "");
});

test("findInRoot() ends in circles of symlinks", async () => {
  await symlink("b", join(scratch, "low/a"));
  await symlink("a", join(scratch, "low/b"));
  assert.equal(await findInRoot({ directories: [join(scratch, "low")] }, "/a/x"), undefined);
});

test("findInRoot() never follows a symlink of a lower directory that an upper directory hides", async () => {
  await symlink(join(scratch, "outside"), join(scratch, "low/hidden"));
  await mkdir(join(scratch, "top/hidden"));
  const root = { directories: [join(scratch, "top"), join(scratch, "low")] };
  assert.equal(await findInRoot(root, "/hidden/secret"), undefined);
  assert.equal((await findInRoot(root, "/real/file"))?.place, join(scratch, "low/real/file"));
  assert.equal(await readInRoot(root, "/etc/own", limit), "top");
});

test("resolveInRoot() names what is missing without symlinks", async () => {
  await symlink("/real", join(scratch, "low/link"));
  const root = { directories: [join(scratch, "low")] };
  assert.deepEqual(await resolveInRoot(root, "/link/new/../../deep/er"), {
    path: "/deep/er",
    found: undefined,
  });
  assert.deepEqual(await resolveInRoot(root, "/link/new/er"), { path: "/real/new/er", found: undefined });
});
