import assert from "node:assert/strict";
import { closeSync, writeSync } from "node:fs";
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { openOwnFileSync } from "./open-own-file.ts";

test("openOwnFileSync() makes a file, writes at its end, and follows no symlink", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "esgz-own-"));
  t.after(() => rm(root, { recursive: true }));
  const path = join(root, "own");
  for (const text of ["one ", "two"]) {
    const fd = openOwnFileSync(path, 0o600);
    writeSync(fd, text);
    closeSync(fd);
  }
  assert.equal(await readFile(path, "utf8"), "one two");
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  await writeFile(join(root, "other"), "other");
  for (const target of ["other", "nowhere"]) {
    await symlink(target, join(root, `to-${target}`));
    assert.throws(() => openOwnFileSync(join(root, `to-${target}`), 0o600), { code: "ELOOP" });
  }
  assert.equal(await readFile(join(root, "other"), "utf8"), "other");
});
