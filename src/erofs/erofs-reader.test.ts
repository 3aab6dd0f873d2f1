import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BLOCK, DEVICE_BLOCKS, randomTree } from "../../test/kernel/erofs-trees.ts";
import { decodePathText, viewOf } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { compileErofs, ErofsReader, walkErofs, type ErofsDirectory, type ErofsNode } from "./index.ts";

const ATTRIBUTES = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 } };
const DEVICES = [0, 1, 2].map(() => ({ size: DEVICE_BLOCKS * BLOCK }));
const ROOT_OFFSET = 1152;

function directory(children: Readonly<Record<string, ErofsNode>>): ErofsDirectory {
  return { ...ATTRIBUTES, type: "dir", children: new Map(Object.entries(children)) };
}

function numbered(count: number): ErofsDirectory {
  const fifo: ErofsNode = { ...ATTRIBUTES, type: "fifo" };
  return directory(
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`name-${index}`, { ...fifo }])),
  );
}

/** A compiled image without a checksum, so that it can be damaged anywhere. */
function unprotected(tree: ErofsDirectory, devices = DEVICES): Uint8Array {
  const { bytes } = compileErofs(tree, { devices });
  bytes[1024 + 8] = 0;
  return bytes;
}

test("ErofsReader gives a value or EROFS_INVALID for damaged images", () => {
  const damage = fc.array(
    fc.record({
      at: fc.nat(),
      size: fc.constantFrom(1, 2, 4),
      value: fc.oneof(fc.nat(), fc.constantFrom(0xffff_ffff, 0x8000_0000)),
    }),
    { minLength: 1, maxLength: 8 },
  );
  fc.assert(
    fc.property(randomTree, damage, (tree, changes) => {
      const image = unprotected(tree);
      for (const { at, size, value } of changes) {
        const view = viewOf(image.subarray(1024));
        // Most of an image is zeros at the end of its blocks: aim at the beginning.
        const place = (at % Math.min(view.byteLength, 4000)) & ~(size - 1);
        if (size === 1) view.setUint8(place, value);
        else if (size === 2) view.setUint16(place, value, true);
        else view.setUint32(place, value, true);
      }
      try {
        readEverything(new ErofsReader(image));
      } catch (error) {
        assert.ok(isEsgzError(error, "EROFS_INVALID") || isEsgzError(error, "NOT_SUPPORTED"), String(error));
      }
    }),
    { numRuns: 250, endOnFailure: true },
  );
});

function readEverything(reader: ErofsReader): void {
  let left = 2000;
  for (const { path, nid } of walkErofs(reader)) {
    if ((left -= 1) < 0) return;
    reader.xattrs(nid);
    reader.findPath(path);
    if (reader.getInode(nid).type === "symlink") reader.readlink(nid);
    for (const run of reader.runs(nid)) if (run.size > 0 && (left -= 1) < 0) return;
  }
}

test("ErofsReader gives a value or EROFS_INVALID for any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 9000, size: "max" }), (bytes) => {
      assert.throws(
        () => new ErofsReader(bytes),
        (error) => isEsgzError(error, "EROFS_INVALID"),
      );
    }),
    { numRuns: 100, endOnFailure: true },
  );
});

test("ErofsReader rejects a first block that does not match its checksum", () => {
  const { bytes } = compileErofs(numbered(3));
  bytes[4095] = 1;
  assert.throws(() => new ErofsReader(bytes), /expected checksum 0x/);
});

test("ErofsReader leaves the image as it is, also one that is a Buffer", () => {
  const image = Buffer.from(compileErofs(numbered(3)).bytes);
  const before = Uint8Array.from(image);
  new ErofsReader(image);
  assert.deepEqual(Uint8Array.from(image), before);
});

test("ErofsReader does not follow a directory into itself", () => {
  const image = unprotected(directory({ d: directory({}) }), []);
  // The third of the root's entries (".", "..", "d") gets the node id of the root.
  viewOf(image).setUint32(ROOT_OFFSET + 64 + 2 * 12, ROOT_OFFSET / 32, true);
  const reader = new ErofsReader(image);
  assert.equal(reader.findPath("d/d/d/d"), reader.rootNid);
  assert.throws(
    () => [...walkErofs(reader)],
    (error) => isEsgzError(error, "EROFS_INVALID"),
  );
});

test("readdir() goes on behind any entry", () => {
  const reader = new ErofsReader(compileErofs(numbered(1000)).bytes);
  const all = [...reader.readdir(reader.rootNid)].map(({ nameBytes }) => decodePathText(nameBytes));
  const names = Array.from({ length: 1000 }, (_, index) => `name-${index}`);
  assert.deepEqual(all, [".", "..", ...names].sort());
  const oneByOne: string[] = [];
  for (let cursor = 0; ;) {
    const [entry] = reader.readdir(reader.rootNid, cursor);
    if (entry === undefined) break;
    oneByOne.push(decodePathText(entry.nameBytes));
    cursor = entry.cursor;
  }
  assert.deepEqual(oneByOne, all);
});

test("lookup() finds each name and no other", () => {
  const reader = new ErofsReader(compileErofs(numbered(5000)).bytes);
  for (let index = 0; index < 5000; index += 1) {
    const entry = reader.lookup(reader.rootNid, `name-${index}`);
    assert.equal(decodePathText(entry?.nameBytes ?? new Uint8Array(0)), `name-${index}`);
  }
  for (const name of ["", "!", "name", "name-", "name-5000", "name-1x", "z", "a".repeat(300)]) {
    assert.equal(reader.lookup(reader.rootNid, name), undefined, name);
  }
  assert.equal(reader.lookup(reader.rootNid, "..")?.nid, reader.rootNid);
});

test("ErofsReader reads through a function, only what it needs", () => {
  const { bytes } = compileErofs(
    directory({ a: numbered(20_000), b: directory({ c: { ...ATTRIBUTES, type: "fifo" } }) }),
  );
  let taken = 0;
  const reader = new ErofsReader({
    size: bytes.length,
    read: (offset, size) => {
      taken += size;
      return bytes.subarray(offset, offset + size);
    },
  });
  assert.equal(reader.getInode(reader.findPath("b/c") ?? 0).type, "fifo");
  assert.ok(taken < 10_000, `${taken} of ${bytes.length}`);
});

test("findPath() does not follow symlinks or go through files", () => {
  const link: ErofsNode = { ...ATTRIBUTES, type: "symlink", target: "d" };
  const reader = new ErofsReader(compileErofs(directory({ d: numbered(1), link })).bytes);
  assert.equal(reader.findPath(""), reader.rootNid);
  assert.notEqual(reader.findPath("/d/name-0/"), undefined);
  assert.equal(reader.findPath("link/name-0"), undefined);
  assert.equal(reader.findPath("d/name-0/x"), undefined);
  assert.equal(reader.readlink(reader.findPath("link") ?? 0), "d");
});
