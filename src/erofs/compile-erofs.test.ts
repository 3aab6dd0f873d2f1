import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  DEVICE_BLOCKS,
  BLOCK,
  describeImage,
  describeTree,
  deviceContent,
  randomTree,
} from "../../test/kernel/erofs-trees.ts";
import { isEsgzError } from "../errors/index.ts";
import {
  compileErofs,
  ErofsReader,
  walkErofs,
  type ErofsDirectory,
  type ErofsFile,
  type ErofsNode,
} from "./index.ts";

const ATTRIBUTES = { mode: 0o755, uid: 1, gid: 2, mtime: { seconds: 3, nanoseconds: 4 } };

function directory(children: Readonly<Record<string, ErofsNode>>): ErofsDirectory {
  return { ...ATTRIBUTES, type: "dir", children: new Map(Object.entries(children)) };
}

function file(size: number, deviceOffset = 0): ErofsFile {
  const extents = size === 0 ? [] : [{ fileOffset: 0, size, device: 0, deviceOffset }];
  return { ...ATTRIBUTES, type: "reg", size, extents };
}

test("compileErofs() makes images in which ErofsReader finds the tree again", () => {
  const contents = [0, 1, 2].map((device) => deviceContent(device));
  const devices = contents.map(({ length }) => ({ size: length }));
  fc.assert(
    fc.property(randomTree, (tree) => {
      const reader = new ErofsReader(compileErofs(tree, { devices }).bytes);
      assert.deepEqual(describeImage(reader, contents), describeTree(tree, contents));
    }),
    { numRuns: 80, endOnFailure: true },
  );
});

test("compileErofs() gives the same bytes for the same tree", () => {
  const tree = directory({ b: file(1), a: file(1) });
  const again = directory({ a: file(1), b: file(1) });
  assert.deepEqual(
    compileErofs(tree, { devices: [{ size: 4096 }] }),
    compileErofs(again, { devices: [{ size: 4096 }] }),
  );
});

test("compileErofs() leaves room behind the last inode, where fsck.erofs looks for attributes", () => {
  let exactEnds = 0;
  for (let count = 1; count <= 300; count += 1) {
    const names = Array.from({ length: count }, (_, index) => [`${index}`, file(0)] as const);
    const { bytes } = compileErofs(directory(Object.fromEntries(names)), { devices: [] });
    const nids = [...walkErofs(new ErofsReader(bytes))].map(({ nid }) => nid);
    const end = Math.max(...nids) * 32 + 64;
    if (end % BLOCK === 0) exactEnds += 1;
    assert.ok(end + 12 <= bytes.length, `${count} files`);
  }
  assert.ok(exactEnds > 0);
});

test("compileErofs() writes the superblock of an empty tree", () => {
  const { bytes } = compileErofs(directory({}), { uuid: new Uint8Array(16).fill(7), volumeName: "layer" });
  assert.equal(bytes.length, 4096);
  const text = Buffer.from(bytes.subarray(1024, 1152)).toString("hex");
  assert.equal(text.slice(0, 8), "e2e1f5e0");
  // Features, block size 2^12, root at 1152 / 32 = 36, one inode.
  assert.equal(text.slice(16, 48), "03000000" + "0c00" + "2400" + "0100000000000000");
  assert.equal(text.slice(96, 160), "07".repeat(16) + "6c61796572".padEnd(32, "0"));
});

test("compileErofs() writes an extended inode to the byte", () => {
  const root: ErofsDirectory = {
    type: "dir",
    mode: 0o1750,
    uid: 0x01020304,
    gid: 0xfffffffe,
    mtime: { seconds: -2, nanoseconds: 999_999_999 },
    children: new Map(),
  };
  const { bytes } = compileErofs(root);
  assert.equal(
    Buffer.from(bytes.subarray(1152, 1152 + 64 + 27)).toString("hex"),
    "0500" + "0000" + "e843" + "0000" + // extended, inline; no xattrs; directory 1750
      "1b00000000000000" + "00000000" + "01000000" + // two entries of 12 bytes, names of 1 + 2 bytes
      "04030201" + "feffffff" + "feffffffffffffff" + "ffc99a3b" + "02000000" + "00".repeat(16) +
      "2400000000000000" + "1800" + "0200" + "2400000000000000" + "1900" + "0200" + "2e2e2e",
  ); // prettier-ignore
});

test("compileErofs() gives a file of any size one chunk if its place is one run", () => {
  const size = 5 * 2 ** 40 + 1;
  const { bytes } = compileErofs(directory({ huge: file(size, 4096) }), { devices: [{ size: 6 * 2 ** 40 }] });
  const reader = new ErofsReader(bytes);
  const nid = reader.findPath("huge") ?? 0;
  assert.equal(reader.getInode(nid).size, size);
  assert.deepEqual(reader.runAt(nid, 0), {
    kind: "device",
    fileOffset: 0,
    size,
    device: 0,
    deviceOffset: 4096,
  });
  assert.deepEqual(reader.runAt(nid, size - 1), {
    kind: "device",
    fileOffset: size - 1,
    size: 1,
    device: 0,
    deviceOffset: 4096 + size - 1,
  });
  assert.equal(bytes.length, 4096);
});

test("compileErofs() splits a file where its runs change", () => {
  const extents = [
    { fileOffset: 8 * BLOCK, size: 8 * BLOCK, device: 1, deviceOffset: 3 * BLOCK },
    { fileOffset: 16 * BLOCK, size: 8 * BLOCK, device: 1, deviceOffset: 11 * BLOCK },
    { fileOffset: 24 * BLOCK, size: 100, device: 0, deviceOffset: 0 },
  ];
  const node: ErofsFile = { ...ATTRIBUTES, type: "reg", size: 40 * BLOCK, extents };
  const devices = [{ size: DEVICE_BLOCKS * BLOCK }, { size: DEVICE_BLOCKS * BLOCK }];
  const reader = new ErofsReader(compileErofs(directory({ node }), { devices }).bytes);
  assert.deepEqual(
    [...reader.runs(reader.findPath("node") ?? 0)],
    [
      { kind: "hole", fileOffset: 0, size: 8 * BLOCK },
      { kind: "device", fileOffset: 8 * BLOCK, size: 16 * BLOCK, device: 1, deviceOffset: 3 * BLOCK },
      { kind: "device", fileOffset: 24 * BLOCK, size: BLOCK, device: 0, deviceOffset: 0 },
      { kind: "hole", fileOffset: 25 * BLOCK, size: 15 * BLOCK },
    ],
  );
});

test("compileErofs() counts the names of an inode", () => {
  const linked = file(10);
  const names = Object.fromEntries(Array.from({ length: 70_000 }, (_, index) => [`n${index}`, linked]));
  const image = compileErofs(directory({ d: directory(names), e: directory({}) }), {
    devices: [{ size: 4096 }],
  });
  const reader = new ErofsReader(image.bytes);
  assert.equal(image.inodeCount, 4);
  assert.equal(reader.getInode(reader.findPath("d/n69999") ?? 0).nlink, 70_000);
  assert.equal(reader.findPath("d/n0"), reader.findPath("d/n69999"));
  assert.equal(reader.getInode(reader.rootNid).nlink, 4);
});

test("compileErofs() stores an attribute once that many inodes have", () => {
  const value = new Uint8Array(3000).fill(1);
  const children = Object.fromEntries(
    Array.from({ length: 100 }, (_, index) => [
      `f${index}`,
      { ...file(0), extents: [], xattrs: new Map([["user.v", value]]) },
    ]),
  );
  const { bytes } = compileErofs(directory(children));
  const reader = new ErofsReader(bytes);
  assert.deepEqual(reader.xattrs(reader.findPath("f99") ?? 0), new Map([["user.v", value]]));
  assert.ok(bytes.length < 40_000, `${bytes.length}`);
});

test("compileErofs() rejects or skips attributes that EROFS has no prefix for", () => {
  const xattrs = new Map([
    ["system.nfs4_acl", Uint8Array.of(1)],
    ["user.", Uint8Array.of(1)],
    ["user.ok", Uint8Array.of(2)],
  ]);
  const tree: ErofsDirectory = { ...directory({}), xattrs };
  assert.throws(
    () => compileErofs(tree),
    (error) => isEsgzError(error, "EROFS_INVALID"),
  );
  const image = compileErofs(tree, { foreignXattrs: "skip" });
  assert.deepEqual(image.skippedXattrs, ["system.nfs4_acl", "user."]);
  assert.deepEqual([...new ErofsReader(image.bytes).xattrs(image.rootNid).keys()], ["user.ok"]);
});

test("compileErofs() rejects trees that cannot be an image", () => {
  const shared = directory({});
  const loop = new Map<string, ErofsNode>();
  const looped: ErofsDirectory = { ...ATTRIBUTES, type: "dir", children: loop };
  loop.set("self", looped);
  const bad: readonly (readonly [string, ErofsDirectory])[] = [
    ["slash", directory({ "a/b": file(0) })],
    ["dot", directory({ ".": file(0) })],
    ["dots", directory({ "..": file(0) })],
    ["empty name", directory({ "": file(0) })],
    ["zero byte", directory({ "a\0": file(0) })],
    ["long name", directory({ ["é".repeat(128)]: file(0) })],
    ["same bytes", directory({ é: file(0), "\udcc3\udca9": file(0) })],
    ["directory twice", directory({ a: shared, b: shared })],
    ["directory in itself", looped],
    ["empty symlink", directory({ l: { ...ATTRIBUTES, type: "symlink", target: "" } })],
    ["long symlink", directory({ l: { ...ATTRIBUTES, type: "symlink", target: "x".repeat(4096) } })],
    ["device number", directory({ d: { ...ATTRIBUTES, type: "char", major: 4096, minor: 0 } })],
    ["mode", { ...directory({}), mode: 0o10000 }],
    ["uid", { ...directory({}), uid: -1 }],
    ["nanoseconds", { ...directory({}), mtime: { seconds: 0, nanoseconds: 1e9 } }],
    ["seconds", { ...directory({}), mtime: { seconds: Number.NaN, nanoseconds: 0 } }],
    ["unaligned place", directory({ f: file(10, 100) })],
    ["outside device", directory({ f: file(10, 4096) })],
    [
      "unknown device",
      directory({ f: { ...file(10), extents: [{ fileOffset: 0, size: 10, device: 1, deviceOffset: 0 }] } }),
    ],
    ["outside file", directory({ f: { ...file(10), size: 9 } })],
    ["overlap", directory({ f: { ...file(5000), extents: [...file(10).extents, ...file(10).extents] } })],
    ["value", { ...directory({}), xattrs: new Map([["user.v", new Uint8Array(65_536)]]) }],
  ];
  for (const [what, tree] of bad) {
    assert.throws(
      () => compileErofs(tree, { devices: [{ size: 4096 }] }),
      (error) => isEsgzError(error, "EROFS_INVALID"),
      what,
    );
  }
});

test("compileErofs() names the file that it rejects", () => {
  const tree = directory({ good: file(1), "b\u00e4d": { ...file(1), uid: 1.5 } });
  assert.throws(() => compileErofs(tree, { devices: [{ size: 4096 }] }), /Cannot compile "bäd": /);
});

test("compileErofs() takes no memory for an image above the limit", () => {
  const extents = [{ fileOffset: 4096, size: 1, device: 0, deviceOffset: 0 }];
  const sparse: ErofsFile = { ...ATTRIBUTES, type: "reg", size: 2 ** 52, extents };
  const tree = directory({ sparse });
  assert.throws(
    () => compileErofs(tree, { devices: [{ size: 4096 }] }),
    (error) => isEsgzError(error, "LIMIT_EXCEEDED"),
  );
});

test("compileErofs() refuses more devices than the root's node id leaves room for", () => {
  const devices = Array.from({ length: 16_344 }, () => ({ size: 4096 }));
  // A root of several blocks with a tail has the largest record.
  const files = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`file-${index}`, file(0)]));
  assert.throws(
    () => compileErofs(directory(files), { devices }),
    (error) => isEsgzError(error, "LIMIT_EXCEEDED"),
  );
  const image = compileErofs(directory(files), { devices: devices.slice(1) });
  const reader = new ErofsReader(image.bytes);
  assert.equal(reader.superblock.devices.length, 16_343);
  assert.equal(reader.getInode(reader.rootNid).type, "dir");
});

test("compileErofs() takes trees deeper than the call stack", () => {
  let tree = directory({});
  for (let depth = 0; depth < 20_000; depth += 1) tree = directory({ d: tree });
  const image = compileErofs(tree);
  const reader = new ErofsReader(image.bytes);
  assert.notEqual(reader.findPath(Array.from({ length: 20_000 }, () => "d").join("/")), undefined);
});
