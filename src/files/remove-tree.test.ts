import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ifExists } from "./if-exists.ts";
import { removeTree } from "./remove-tree.ts";

const NOBODY = 65534;
const PROGRAM = `
  import { removeTree } from ${JSON.stringify(new URL("./remove-tree.ts", import.meta.url).href)};
  await removeTree(process.argv[1]);
`;

/** As a user whom permissions bind. */
function removeAsUser(path: string): void {
  const isRoot = process.geteuid?.() === 0;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", PROGRAM, path], {
    encoding: "utf8",
    cwd: "/",
    ...(isRoot ? { uid: NOBODY, gid: NOBODY } : {}),
  });
  assert.equal(status, 0, stderr);
}

async function inScratch(body: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "esgz-files-"));
  try {
    if (process.geteuid?.() === 0) await chown(root, NOBODY, NOBODY);
    await body(root);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

async function own(path: string, mode: number): Promise<void> {
  if (process.geteuid?.() === 0) await chown(path, NOBODY, NOBODY);
  await chmod(path, mode);
}

test("removeTree() removes what its owner closed, and nothing that links lead to", async () => {
  await inScratch(async (root) => {
    const [tree, other] = [join(root, "tree"), join(root, "other")];
    const closed = { "a/b": 0o700, a: 0, c: 0o400, "": 0o500 };
    await mkdir(join(tree, "a/b"), { recursive: true });
    await mkdir(join(tree, "c"));
    await mkdir(other);
    await writeFile(join(tree, "a/b/file"), "");
    await writeFile(join(tree, "c/file"), "");
    await symlink(other, join(tree, "link"));
    for (const [name, mode] of Object.entries(closed)) await own(join(tree, name), mode);
    await own(other, 0o500);
    removeAsUser(tree);
    assert.equal(await ifExists(lstat(tree)), undefined);
    assert.equal((await stat(other)).mode & 0o777, 0o500);
  });
});

test("removeTree() takes files, and what is not there", async () => {
  await inScratch(async (root) => {
    await writeFile(join(root, "file"), "");
    await removeTree(join(root, "file"));
    await removeTree(join(root, "missing"));
    assert.deepEqual(await readdir(root), []);
  });
});
