import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ensureDirectory, replaceFile, syncPath, writeNewFile } from "./durable-file.ts";
import { ifExists } from "./if-exists.ts";

const OLD = new TextEncoder().encode("old");
const NEW = new TextEncoder().encode("new");

test("replaceFile() makes a file, replaces it, and leaves nothing beside it", async () => {
  await inScratch(async (root) => {
    const [path, temporary] = [join(root, "file"), join(root, "file.new")];
    await replaceFile(path, OLD, { temporary, mode: 0o600 });
    assert.equal(await readFile(path, "utf8"), "old");
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await replaceFile(path, NEW, { temporary, durable: false });
    assert.equal(await readFile(path, "utf8"), "new");
    assert.deepEqual(await readdir(root), ["file"]);
  });
});

test("replaceFile() leaves the old file and nothing beside it when it fails", async () => {
  await inScratch(async (root) => {
    await mkdir(join(root, "taken"));
    await assert.rejects(replaceFile(join(root, "taken"), NEW, { temporary: join(root, "new") }), {
      code: "EISDIR",
    });
    assert.deepEqual(await readdir(root), ["taken"]);
  });
});

test("writeNewFile() leaves what is there alone", async () => {
  await inScratch(async (root) => {
    const path = join(root, "file");
    await writeNewFile(path, "old", { durable: true });
    await assert.rejects(writeNewFile(path, "new"), { code: "EEXIST" });
    assert.equal(await readFile(path, "utf8"), "old");
  });
});

test("ensureDirectory() makes directories, also where they are there", async () => {
  await inScratch(async (root) => {
    const path = join(root, "a/b");
    await ensureDirectory(path, { mode: 0o711 });
    await ensureDirectory(path);
    assert.equal((await stat(path)).mode & 0o777, 0o711);
  });
});

test("ifExists() takes a missing file or directory for none, and nothing else", async () => {
  await inScratch(async (root) => {
    await writeNewFile(join(root, "file"), OLD);
    assert.equal(await ifExists(readFile(join(root, "file"), "utf8")), "old");
    assert.equal(await ifExists(readFile(join(root, "none"))), undefined);
    assert.equal(await ifExists(readFile(join(root, "file/below"))), undefined);
    await assert.rejects(ifExists(readFile(root)), { code: "EISDIR" });
    await assert.rejects(syncPath(join(root, "none")), { code: "ENOENT" });
  });
});

async function inScratch(work: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "esgz-durable-"));
  try {
    await work(root);
  } finally {
    await rm(root, { recursive: true });
  }
}
