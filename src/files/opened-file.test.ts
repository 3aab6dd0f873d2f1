import assert from "node:assert/strict";
import { fstatSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { OpenedFile } from "./opened-file.ts";

const PARTS = ["one", "", "two"].map((text) => new TextEncoder().encode(text));

test("OpenedFile writes, reads, cuts, and says what it is", async () => {
  await inScratch(async (path) => {
    await using file = OpenedFile.open(path, "wx+");
    assert.equal(await file.write(PARTS, 2), 6);
    await file.sync();
    await file.datasync();
    const bytes = new Uint8Array(16);
    assert.equal(await file.read(bytes, 2), 6);
    assert.equal(new TextDecoder().decode(bytes.subarray(0, 6)), "onetwo");
    assert.equal(await file.read(bytes, 8), 0);
    await file.truncate(4);
    assert.equal((await file.stat()).size, 4n);
    assert.throws(() => OpenedFile.open(path, "wx+"), { code: "EEXIST" });
  });
});

test("OpenedFile is closed once, after what is under way, and takes no more", async () => {
  await inScratch(async (path) => {
    const file = OpenedFile.open(path, "w+", 0o600);
    assert.equal((await file.stat()).mode & 0o777n, 0o600n);
    const writes = PARTS.map((part) => file.write([part], 0));
    const closes = [file.close(), file.close()];
    await assert.rejects(file.read(new Uint8Array(1), 0), /a closed one/);
    assert.deepEqual(await Promise.all(writes), [3, 0, 3]);
    await Promise.all(closes);
    assert.throws(() => fstatSync(file.fd), { code: "EBADF" });
  });
});

async function inScratch(work: (path: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), "esgz-opened-"));
  try {
    await work(join(root, "file"));
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}
