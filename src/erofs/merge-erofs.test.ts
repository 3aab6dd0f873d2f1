import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import {
  compileErofs,
  createWhiteout,
  type ErofsDirectory,
  type ErofsNode,
  ErofsReader,
  mergeErofs,
  type ReadMarks,
  walkErofs,
  withOpaqueMark,
} from "./index.ts";

const BLOCK = 4096;
const ATTRIBUTES = { mode: 0o755, uid: 1, gid: 2, mtime: { seconds: -3, nanoseconds: 4 } };
const OPAQUE = "trusted.overlay.opaque";
const DATA_SIZE = 64 * BLOCK;

const readMarks: ReadMarks = (xattrs) => {
  const shown = new Map(xattrs);
  return { opaque: shown.delete(OPAQUE), implied: false, shown };
};

const findLinked = (): never => assert.fail("none of these images has a link into one below");

function directory(children: Readonly<Record<string, ErofsNode>>): ErofsDirectory {
  return { ...ATTRIBUTES, type: "dir", children: new Map(Object.entries(children)) };
}

function file(size: number, deviceOffset: number): ErofsNode {
  const extents = [{ fileOffset: 0, size, device: 0, deviceOffset }];
  return { ...ATTRIBUTES, type: "reg", size, extents };
}

function imageOf(root: ErofsDirectory): Uint8Array {
  return compileErofs(root, { devices: [{ size: DATA_SIZE }] }).bytes;
}

function merged(images: readonly Uint8Array[]): Uint8Array {
  const dataSizes = images.map(() => DATA_SIZE);
  return mergeErofs(images, { dataSizes, readMarks, findLinked, maxImageSize: 1 << 20 });
}

const linked = file(10, BLOCK);
const LOWER = imageOf(
  directory({
    etc: directory({ hosts: file(5000, 0), "-": file(1, 2 * BLOCK) }),
    gone: file(1, 3 * BLOCK),
    hidden: directory({ old: file(1, 4 * BLOCK) }),
    link: linked,
    name: linked,
    text: { ...ATTRIBUTES, type: "symlink", target: "t".repeat(4090) },
  }),
);
const UPPER = imageOf(
  directory({
    etc: directory({ passwd: file(1, 5 * BLOCK), "..hidden": file(1, 6 * BLOCK) }),
    gone: createWhiteout(ATTRIBUTES),
    hidden: withOpaqueMark(directory({ new: file(1, 7 * BLOCK) }), "trusted"),
  }),
);

test("mergeErofs() shows what is visible, each file on the device of its image", () => {
  const reader = new ErofsReader(merged([LOWER, UPPER]));
  const paths = Array.from(walkErofs(reader), ({ path }) => path);
  assert.deepEqual(paths, [
    "",
    "etc",
    "hidden",
    "link",
    "name",
    "text",
    "etc/-",
    "etc/..hidden",
    "etc/hosts",
    "etc/passwd",
    "hidden/new",
  ]);
  const runOf = (path: string): unknown => reader.runAt(reader.findPath(path) ?? 0, 0);
  const run = { kind: "device", fileOffset: 0 };
  assert.deepEqual(runOf("etc/hosts"), { ...run, size: 5000, device: 0, deviceOffset: 0 });
  assert.deepEqual(runOf("etc/passwd"), { ...run, size: 1, device: 1, deviceOffset: 5 * BLOCK });
  assert.deepEqual([...reader.xattrs(reader.findPath("hidden") ?? 0).keys()], []);
  assert.equal(reader.readlink(reader.findPath("text") ?? 0), "t".repeat(4090));
  assert.equal(reader.findPath("link"), reader.findPath("name"));
  assert.equal(reader.getInode(reader.findPath("link") ?? 0).nlink, 2);
});

test("mergeErofs() of one image without marks is that image", () => {
  assert.deepEqual(Buffer.from(merged([LOWER])), Buffer.from(LOWER));
});

test("mergeErofs() takes a part of a Buffer that begins anywhere", () => {
  const buffer = Buffer.concat([Buffer.alloc(1), LOWER]).subarray(1);
  assert.deepEqual(Buffer.from(merged([buffer])), Buffer.from(LOWER));
});

test("mergeErofs() refuses files that lie behind the end of the device", () => {
  const dataSizes = [BLOCK];
  assert.throws(() => mergeErofs([LOWER], { dataSizes, readMarks, findLinked, maxImageSize: 1 << 20 }), {
    code: "EROFS_INVALID",
  });
});

test("mergeErofs() takes no memory for an image above the limit", () => {
  const dataSizes = [DATA_SIZE];
  assert.throws(() => mergeErofs([LOWER], { dataSizes, readMarks, findLinked, maxImageSize: BLOCK }), {
    code: "LIMIT_EXCEEDED",
  });
});

test("mergeErofs() survives damage: a value or EROFS_INVALID, NOT_SUPPORTED, LIMIT_EXCEEDED", () => {
  const damage = fc.record({ at: fc.nat(LOWER.length - 1), value: fc.nat(255) });
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 6 }), (changes) => {
      const damaged = LOWER.slice();
      for (const { at, value } of changes) damaged[at] = value;
      try {
        merged([damaged, UPPER]);
      } catch (error) {
        const codes = ["EROFS_INVALID", "NOT_SUPPORTED", "LIMIT_EXCEEDED"];
        assert.ok(isEsgzError(error) && codes.includes(error.code), String(error));
      }
    }),
    { numRuns: 3000 },
  );
});
