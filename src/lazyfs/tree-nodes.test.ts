import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { compileErofs, ErofsReader, type ErofsDirectory, type ErofsNode } from "../erofs/index.ts";
import { ROOT_NODE } from "../fuse/index.ts";
import { findFilesAt } from "./file-at.ts";
import { MetaFile } from "./meta-file.ts";
import { TreeNodes } from "./tree-nodes.ts";

const OWNER = { uid: 7, gid: 8, mtime: { seconds: -5, nanoseconds: 9 } };
const OPAQUE = new Map([["trusted.overlay.opaque", Uint8Array.of(0x79)]]);

function directory(children: Record<string, ErofsNode>): ErofsDirectory {
  return { ...OWNER, mode: 0o1755, type: "dir", children: new Map(Object.entries(children)), xattrs: OPAQUE };
}

function file(size: number, ...extents: readonly (readonly [number, number, number, number])[]): ErofsNode {
  return {
    ...OWNER,
    mode: 0o4644,
    type: "reg",
    size,
    extents: extents.map(([fileOffset, length, device, deviceOffset]) => {
      return { fileOffset, size: length, device, deviceOffset };
    }),
  };
}

/** A file with a hole that goes on on another device; 300 names in one directory. */
const TREE = directory({
  mixed: file(20_000, [0, 8192, 0, 4096], [12_288, 7712, 1, 0]),
  dev: { ...OWNER, mode: 0o600, type: "block", major: 300, minor: 70_000 },
  link: { ...OWNER, mode: 0o777, type: "symlink", target: "mixed" },
  many: directory(Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`name-${at}`, file(0)]))),
});

const IMAGE = compileErofs(TREE, { devices: [{ size: 16_384 }, { size: 8192 }] }).bytes;

test("TreeNodes shows attributes with device numbers as the kernel writes them", () => {
  const tree = new TreeNodes({ size: IMAGE.length, read: (at, size) => IMAGE.subarray(at, at + size) });
  const dev = tree.lookup(ROOT_NODE, "dev");
  assert.ok(dev);
  const { inode, mode, rdev, uid, gid, nlink, mtime } = dev.attributes;
  assert.deepEqual(
    { mode, rdev, uid, gid, nlink, mtime },
    {
      mode: 0o060600,
      rdev: 0x1111_2c70,
      uid: 7,
      gid: 8,
      nlink: 1,
      mtime: { seconds: -5, nanoseconds: 9 },
    },
  );
  assert.equal(inode, dev.node);
  assert.equal(tree.lookup(ROOT_NODE, "nothing"), undefined);
  assert.equal(tree.attributes(ROOT_NODE).inode, ROOT_NODE);
});

test("TreeNodes cuts a read into holes and runs of devices", () => {
  const tree = new TreeNodes({ size: IMAGE.length, read: (at, size) => IMAGE.subarray(at, at + size) });
  const node = tree.lookup(ROOT_NODE, "mixed")?.node ?? 0;
  const parts = tree.parts(node, { offset: 4000, size: 100_000 });
  assert.deepEqual(
    parts.map((part) =>
      part.kind === "device"
        ? [part.at, part.size, part.device, part.deviceOffset]
        : [part.at, part.size, part.kind],
    ),
    [
      [0, 4192, 0, 8096],
      [4192, 4096, "hole"],
      [8288, 7712, 1, 0],
    ],
  );
  assert.deepEqual(tree.parts(node, { offset: 20_000, size: 1 }), []);
});

test("TreeNodes goes on with a listing where an earlier one stopped", () => {
  const tree = new TreeNodes({ size: IMAGE.length, read: (at, size) => IMAGE.subarray(at, at + size) });
  const node = tree.lookup(ROOT_NODE, "many")?.node ?? 0;
  const names: string[] = [];
  for (let offset = 0, left = true; left;) {
    left = false;
    let taken = 0;
    for (const item of tree.list(node, { offset, withEntries: true })) {
      if ((taken += 1) > 7) {
        left = true;
        break;
      }
      names.push(item.name);
      offset = item.offset;
      assert.equal(item.entry?.node, item.name.startsWith(".") ? undefined : item.inode);
    }
  }
  assert.equal(names.length, 302);
  assert.equal(new Set(names).size, 302);
});

test("TreeNodes shows marks of overlayfs as user namespaces need them, and other owners, when asked", () => {
  const source = { size: IMAGE.length, read: (at: number, size: number) => IMAGE.subarray(at, at + size) };
  const ranges = [{ inside: 0, outside: 1000, count: 1 }];
  const tree = new TreeNodes(source, { userOverlay: true, owners: { uids: ranges, gids: ranges } });
  assert.deepEqual([...tree.xattrs(ROOT_NODE).keys()], ["user.overlay.opaque"]);
  assert.deepEqual([tree.attributes(ROOT_NODE).uid, tree.attributes(ROOT_NODE).gid], [1000, 1000]);
  assert.deepEqual([...new TreeNodes(source).xattrs(ROOT_NODE).keys()], ["trusted.overlay.opaque"]);
});

test("findFilesAt() finds the file that lies at a place of a device", async () => {
  const places = [
    { device: 1, offset: 5000 },
    { device: 0, offset: 4096 },
    { device: 0, offset: 0 },
  ];
  assert.deepEqual(await findFilesAt(new ErofsReader(IMAGE), places), ["mixed", "mixed", undefined]);
});

test("MetaFile reads as its file does, with one page in memory, too", () => {
  const root = mkdtempSync(join(tmpdir(), "esgz-meta-"));
  try {
    const bytes = Uint8Array.from({ length: 150_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff);
    writeFileSync(join(root, "meta"), bytes);
    using meta = new MetaFile(join(root, "meta"), { maxPages: 1 });
    for (const [offset, size] of [
      [0, 10],
      [32_760, 16],
      [32_768, 32_768],
      [10, 149_990],
      [149_999, 1],
      [5, 0],
    ] as const) {
      assert.deepEqual(
        Buffer.compare(meta.read(offset, size), bytes.subarray(offset, offset + size)),
        0,
        `${size} bytes at ${offset}`,
      );
    }
    writeFileSync(join(root, "meta"), "");
    assert.throws(() => meta.read(70_000, 40_000), { code: "IO_FAILED" });
  } finally {
    rmSync(root, { recursive: true });
  }
});
