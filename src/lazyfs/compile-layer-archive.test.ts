import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryBlob } from "../blob/index.ts";
import { encodeUtf8 } from "../bytes/index.ts";
import { type ErofsInode, ErofsReader, walkErofs } from "../erofs/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type Archive, openArchive } from "../estargz/index.ts";
import { type FileSpec, tarOf } from "../tar/make-tar.fixture.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import { archiveOf } from "./image.fixture.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

/** A blob whose footer says that its TOC lies elsewhere: any TOC can be given to it. */
const BLOB = new Uint8Array(
  readFileSync(join(import.meta.dirname, "../../test/vectors/everything.externaltoc.blob")),
);

async function archiveFromEntries(entries: readonly unknown[]): Promise<Archive> {
  const externalToc = encodeUtf8(JSON.stringify({ version: 1, entries }));
  const found = await openArchive(new MemoryBlob(BLOB), { externalToc });
  return found.verify(`sha256:${hash("sha256", externalToc)}`);
}

function inodeAt(meta: Uint8Array, path: string): ErofsInode | undefined {
  const reader = new ErofsReader(meta);
  const nid = reader.findPath(path);
  return nid === undefined ? undefined : reader.getInode(nid);
}

function xattrsAt(meta: Uint8Array, path: string): Record<string, string> {
  const reader = new ErofsReader(meta);
  const values = reader.xattrs(reader.findPath(path) ?? 0);
  return Object.fromEntries(Array.from(values, ([name, value]) => [name, Buffer.from(value).toString()]));
}

async function compiled(files: readonly FileSpec[]): Promise<Uint8Array> {
  return compileLayerArchive(await archiveOf(tarOf(files))).meta;
}

test("compileLayerArchive() places files in the order of the blob, each at a multiple of 4096", async () => {
  const archive = await archiveOf(
    tarOf([
      { name: "z", content: "z".repeat(5000) },
      { name: "a", content: "a" },
      { name: "empty" },
      { name: "m", content: "m".repeat(10_000) },
    ]),
    { chunkSize: 4096 },
  );
  const { rows, dataSize } = compileLayerArchive(archive);
  assert.deepEqual(
    rows.map(({ place, size }) => [place, size]),
    [
      [0, 4096],
      [4096, 904],
      [8192, 1],
      [12_288, 4096],
      [16_384, 4096],
      [20_480, 1808],
    ],
  );
  assert.equal(dataSize, 24_576);
  const offsets = rows.map(({ blobOffset }) => blobOffset);
  assert.deepEqual(
    offsets,
    offsets.toSorted((a, b) => a - b),
  );
});

test("compileLayerArchive() makes whiteouts and opaque marks, and drops other names of AUFS", async () => {
  const meta = await compiled([
    { name: "etc/" },
    { name: "etc/.wh.gone" },
    { name: "opaque/" },
    { name: "opaque/.wh..wh..opq" },
    { name: "replaced/" },
    { name: ".wh.replaced" },
    { name: ".wh..wh.plnk/" },
    { name: ".wh..wh.plnk/12.34", content: "x" },
  ]);
  const { type, major, minor } = inodeAt(meta, "etc/gone") ?? {};
  assert.deepEqual([type, major, minor], ["char", 0, 0]);
  assert.deepEqual(xattrsAt(meta, "opaque"), { "trusted.overlay.opaque": "y" });
  assert.deepEqual(xattrsAt(meta, "replaced"), { "trusted.overlay.opaque": "y" });
  assert.deepEqual(
    Array.from(walkErofs(new ErofsReader(meta)), ({ path }) => path),
    ["", "etc", "opaque", "replaced", "etc/gone"],
  );
});

test("compileLayerArchive() writes marks for unprivileged overlays where told so", async () => {
  const archive = await archiveOf(tarOf([{ name: "a/.wh..wh..opq" }]));
  const { meta } = compileLayerArchive(archive, { overlayMarks: "user" });
  assert.deepEqual(xattrsAt(meta, "a"), {
    "user.overlay.opaque": "y",
    "user.overlay.esgz.implied": "y",
  });
});

test("compileLayerArchive() lets no layer bring marks of overlayfs", async () => {
  const xattrs = new Map([
    ["trusted.overlay.redirect", encodeUtf8("/etc")],
    ["user.overlay.opaque", encodeUtf8("y")],
    ["user.note", encodeUtf8("kept")],
  ]);
  const { meta, skippedXattrs } = compileLayerArchive(await archiveOf(tarOf([{ name: "a/", xattrs }])));
  assert.deepEqual(xattrsAt(meta, "a"), { "user.note": "kept" });
  assert.deepEqual(skippedXattrs, ["trusted.overlay.redirect", "user.overlay.opaque"]);
});

test("compileLayerArchive() skips attributes that EROFS cannot store, and says so", async () => {
  const xattrs = new Map([["strange.name", encodeUtf8("x")]]);
  const archive = await archiveOf(tarOf([{ name: "a", content: "a", xattrs }]));
  assert.deepEqual(compileLayerArchive(archive).skippedXattrs, ["strange.name"]);
});

test("compileLayerArchive() gives symlinks the permissions that all have on Linux, whatever a TOC says", async () => {
  const entry = { name: "link", type: "symlink", linkName: "there", mode: 0o644, uid: 7, NumLink: 0 };
  const { meta } = compileLayerArchive(await archiveFromEntries([entry]));
  const inode = inodeAt(meta, "link");
  assert.deepEqual([inode?.type, inode?.mode, inode?.uid], ["symlink", 0o777, 7]);
});

test("compileLayerArchive() shares the inode of hard links, also in front of their target", async () => {
  const archive = await archiveFromEntries([
    { name: "before", type: "hardlink", linkName: "target" },
    { name: "target", type: "reg" },
    { name: "behind", type: "hardlink", linkName: "before" },
  ]);
  const reader = new ErofsReader(compileLayerArchive(archive).meta);
  const nids = ["before", "target", "behind"].map((path) => reader.findPath(path));
  assert.equal(new Set(nids).size, 1);
  assert.equal(reader.getInode(nids[0] ?? 0).nlink, 3);
});

test("compileLayerArchive() gives a file of holes no place, and holes in a file no chunks", async () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const hole = { name: "sparse", type: "chunk", chunkType: "zeros" };
  const archive = await archiveFromEntries([
    { name: "holes", type: "reg", size: 1e12, chunkType: "zeros" },
    { name: "sparse", type: "reg", size: 30_000, offset: 100, chunkSize: 10_000, chunkDigest: digest },
    { ...hole, chunkOffset: 10_000, chunkSize: 20_000 },
  ]);
  const { rows, dataSize, meta } = compileLayerArchive(archive);
  assert.deepEqual(
    rows.map(({ place, size }) => [place, size]),
    [[0, 10_000]],
  );
  assert.equal(dataSize, 32_768);
  assert.equal(inodeAt(meta, "holes")?.size, 1e12);
});

test("compileLayerArchive() refuses chunks whose digest is no SHA-256", async () => {
  const chunkDigest = `sha512:${"0".repeat(128)}`;
  const archive = await archiveFromEntries([{ name: "a", type: "reg", size: 5, offset: 100, chunkDigest }]);
  assert.throws(() => compileLayerArchive(archive), { code: "NOT_SUPPORTED" });
});

test("compileLayerArchive() of any TOC gives a sound layer or an error with a code", async () => {
  const part = fc.constantFrom(
    "a",
    "b",
    ".wh.a",
    ".wh..wh..opq",
    ".wh.",
    ".wh..",
    "..",
    "ü",
    "\ud800",
    "x".repeat(256),
  );
  const path = fc.array(part, { maxLength: 3 }).map((parts) => parts.join("/"));
  const number = fc.oneof(fc.nat(5000), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 40, 2 ** 53 - 1));
  const digest = `sha256:${"0".repeat(64)}`;
  const entry = fc.record(
    {
      name: path,
      type: fc.constantFrom("reg", "dir", "symlink", "hardlink", "char", "block", "fifo", "chunk"),
      linkName: path,
      size: number,
      mode: number,
      uid: number,
      gid: number,
      modtime: fc.constantFrom(
        "2020-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
      ),
      devMajor: number,
      devMinor: number,
      offset: number,
      chunkOffset: number,
      chunkSize: number,
      chunkDigest: fc.constant(digest),
      chunkType: fc.constantFrom("", "zeros"),
      xattrs: fc.dictionary(
        fc.constantFrom("user.a", "trusted.overlay.opaque", "odd"),
        fc.base64String({ maxLength: 8 }),
      ),
    },
    { requiredKeys: ["name", "type"] },
  );
  let compiledCount = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 6 }), async (entries) => {
      try {
        const { meta, rows, dataSize } = compileLayerArchive(await archiveFromEntries(entries));
        let end = 0;
        for (const { place, size } of rows) {
          assert.ok(place >= end && size > 0);
          end = place + size;
        }
        assert.ok(end <= dataSize && dataSize % 4096 === 0);
        assert.ok([...walkErofs(new ErofsReader(meta))].length > 0);
        mergeLayerMetas([meta, meta], [dataSize, dataSize]);
        compiledCount += 1;
      } catch (error) {
        assert.ok(isEsgzError(error), String(error));
        assert.notEqual(error.code, "INTERNAL");
      }
    }),
    { numRuns: 1500, endOnFailure: true },
  );
  assert.ok(compiledCount > 100, `${compiledCount} were compiled`);
});
