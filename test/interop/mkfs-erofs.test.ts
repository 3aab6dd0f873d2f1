/**
 * The reader understands images of mkfs.erofs: other inode forms, inline files and chunk tables than ours.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
} from "node:fs";
import { utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { ErofsReader, walkErofs } from "../../src/erofs/index.ts";

for (const { what, options } of [
  { what: "compact inodes", options: ["-Enoinline_data", "-T1234567890"] },
  { what: "inline files", options: ["-Eforce-inode-compact", "-T1234567890"] },
  { what: "extended inodes", options: ["-Eforce-inode-extended"] },
  { what: "chunks with indexes", options: ["-Eforce-chunk-indexes", "--chunksize=4096"] },
  { what: "chunks with a block map", options: ["--chunksize=4096"] },
]) {
  test(`ErofsReader reads ${what} of mkfs.erofs`, (t) => {
    if (!hasMkfs(t)) return;
    const root = mkdtempSync(join(tmpdir(), "mkfs-"));
    try {
      const source = makeSource(root);
      execFileSync("mkfs.erofs", ["--quiet", ...options, join(root, "image"), source], { stdio: "ignore" });
      compareWithSource(new Uint8Array(readFileSync(join(root, "image"))), source);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
}

function makeSource(root: string): string {
  const source = join(root, "source");
  mkdirSync(join(source, "deep/deeper"), { recursive: true });
  for (const size of [0, 1, 100, 4096, 5000, 20_000])
    writeFileSync(join(source, `f${size}`), Buffer.alloc(size, `${size}`));
  for (let index = 0; index < 500; index += 1)
    writeFileSync(join(source, "deep", `file-number-${index}`), "x");
  symlinkSync("f1", join(source, "link"));
  symlinkSync("t".repeat(4000), join(source, "longlink"));
  linkSync(join(source, "f100"), join(source, "deep/deeper/hard"));
  writeFileSync(join(source, "sparse"), "");
  truncateSync(join(source, "sparse"), 100_000);
  chmodSync(join(source, "f1"), 0o4751);
  utimesSync(join(source, "f1"), 1, 1_000_000_000);
  return source;
}

function compareWithSource(image: Uint8Array, source: string): void {
  const reader = new ErofsReader(image);
  let names = 0;
  for (const { path, nid } of walkErofs(reader)) {
    names += 1;
    const inode = reader.getInode(nid);
    const stat = lstatSync(join(source, path));
    assert.equal(inode.mode, stat.mode & 0o7777, path);
    assert.deepEqual([inode.uid, inode.gid, inode.nlink], [stat.uid, stat.gid, stat.nlink], path);
    assert.equal(inode.type, stat.isDirectory() ? "dir" : stat.isSymbolicLink() ? "symlink" : "reg", path);
    if (inode.type === "symlink") assert.equal(reader.readlink(nid).length, stat.size, path);
    if (inode.type === "reg")
      assert.deepEqual(contentOf(reader, nid, image), readFileSync(join(source, path)), path);
  }
  assert.equal(names, 513);
  assert.equal(reader.findPath("f100"), reader.findPath("deep/deeper/hard"));
  const built = reader.superblock.buildSeconds;
  const expected = built === 1_234_567_890 ? built : statSync(join(source, "f1")).mtimeMs / 1000;
  assert.equal(reader.getInode(reader.findPath("f1") ?? 0).mtime.seconds, expected);
}

function contentOf(reader: ErofsReader, nid: number, image: Uint8Array): Buffer {
  const content = Buffer.alloc(reader.getInode(nid).size);
  for (const run of reader.runs(nid)) {
    if (run.kind === "image")
      content.set(image.subarray(run.imageOffset, run.imageOffset + run.size), run.fileOffset);
  }
  return content;
}

function hasMkfs(t: TestContext): boolean {
  try {
    execFileSync("mkfs.erofs", ["--help"], { stdio: "ignore" });
    return true;
  } catch {
    t.skip("needs mkfs.erofs");
    return false;
  }
}
