/**
 * The running kernel, and erofs-utils, see in a compiled image what the tree says.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
} from "node:fs";
import {
  appendFileSync,
  readlinkSync,
  readSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import fc from "fast-check";
import {
  compileErofs,
  createWhiteout,
  ErofsReader,
  walkErofs,
  withOpaqueMark,
  type ErofsDirectory,
  type ErofsFile,
  type ErofsNode,
} from "../../src/erofs/index.ts";
import { systemCodeOf } from "../../src/errors/index.ts";
import { describeMount } from "./describe-mount.ts";
import { BLOCK, describeTree, deviceContent, randomTree } from "./erofs-trees.ts";
import { fsmountErofs, mountErofs, mountOverlay, unmount } from "./linux.ts";

const ATTRIBUTES = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 1, nanoseconds: 2 } };
const FILE_BACKED_SINCE: readonly [number, number] = [6, 12];

test("the kernel shows random trees as they are", (t) => {
  if (!canMount(t)) return;
  const contents = [0, 1, 2].map((device) => deviceContent(device));
  fc.assert(
    fc.property(randomTree, (tree) => {
      withImage(tree, contents, (image) => {
        mountErofs(image);
        whileMounted(image.target, () =>
          assert.deepEqual(describeMount(image.target), describeTree(tree, contents)),
        );
      });
    }),
    { numRuns: 40, endOnFailure: true },
  );
});

test("the kernel shows a tree through loop devices as it is", (t) => {
  if (!canMount(t) || !hasTool(t, "losetup", "--find")) return;
  const contents = [0, 1, 2].map((device) => deviceContent(device));
  for (const tree of fc.sample(randomTree, { numRuns: 3, seed: 20 })) {
    withImage(tree, contents, ({ meta, devices, target }) => {
      withLoopDevices([meta, ...devices], ([metaLoop, ...dataLoops]) => {
        mountErofs({ meta: metaLoop ?? "", devices: dataLoops, target });
        whileMounted(target, () => assert.deepEqual(describeMount(target), describeTree(tree, contents)));
      });
    });
  }
});

test("fsck.erofs finds nothing wrong with random trees", (t) => {
  if (!hasTool(t, "fsck.erofs", "-V")) return;
  const contents = [0, 1, 2].map((device) => deviceContent(device));
  fc.assert(
    fc.property(randomTree, (tree) => {
      withImage(tree, contents, checkWithFsck);
    }),
    { numRuns: 15, endOnFailure: true },
  );
});

test("fsck.erofs finds nothing wrong where the last inode ends with a block", (t) => {
  if (!hasTool(t, "fsck.erofs", "-V")) return;
  const sizes = Array.from({ length: 300 }, (_, size) => size);
  const trees = sizes.map((size) => directory(numberedFiles(size, 3)));
  const exact = trees.filter((tree) => lastInodeEnd(compileErofs(tree, { devices: [] }).bytes) % BLOCK === 0);
  assert.ok(exact.length > 0);
  for (const tree of exact) withImage(tree, [], checkWithFsck);
});

test("dump.erofs reads the superblock", (t) => {
  if (!hasTool(t, "dump.erofs", "-V")) return;
  const tree = directory({ f: file(1, 0), d: directory({}) });
  const { bytes } = compileErofs(tree, {
    devices: [{ size: BLOCK }],
    uuid: Uint8Array.from({ length: 16 }, (_, i) => i),
  });
  withDirectory((root) => {
    const meta = join(root, "meta");
    const device = join(root, "device");
    writeFileSync(meta, bytes);
    writeFileSync(device, new Uint8Array(BLOCK));
    const shown = execFileSync("dump.erofs", ["-s", `--device=${device}`, meta], { encoding: "utf8" });
    assert.match(shown, /features: +sb_csum mtime chunked_file device_table/);
    assert.match(shown, /inode count: +3\n/);
    assert.match(shown, /UUID: +00010203-0405-0607-0809-0a0b0c0d0e0f/);
  });
});

test("the kernel finds each of 100,000 names of one directory, and none beside", (t) => {
  if (!canMount(t)) return;
  const names = Array.from({ length: 100_000 }, (_, index) => `${"x".repeat(index % 40)}${index}`);
  const tree = directory(Object.fromEntries(names.map((name) => [name, file(0, 0)])));
  withImage(tree, [], (image) => {
    mountErofs(image);
    whileMounted(image.target, () => {
      assert.deepEqual(readdirSync(image.target).sort(), [...names].sort());
      for (const name of names) assert.equal(lstatSync(join(image.target, name)).nlink, 1);
      for (const name of ["", "!", "zzz", "xx", "5x"]) {
        if (name !== "") assert.throws(() => lstatSync(join(image.target, name)), { code: "ENOENT" });
      }
    });
  });
});

test("the kernel finds all names in directories of every size around the block boundaries", (t) => {
  if (!canMount(t)) return;
  const sizes = Array.from({ length: 120 }, (_, index) => index * 3);
  const children = sizes.map(
    (size) => [`d${size}`, directory(numberedFiles(size, 20 + (size % 5)))] as const,
  );
  withImage(directory(Object.fromEntries(children)), [], (image) => {
    mountErofs(image);
    whileMounted(image.target, () => {
      for (const [name, { children: expected }] of children) {
        const place = join(image.target, name);
        assert.deepEqual(readdirSync(place).sort(), [...expected.keys()].sort());
        for (const child of expected.keys()) assert.ok(lstatSync(join(place, child)).isFile());
      }
    });
  });
});

test("the kernel reads symlinks of every length", (t) => {
  if (!canMount(t)) return;
  const lengths = [1, 2, 27, 63, 64, 2000, 3967, 3968, 4031, 4032, 4033, 4094, 4095];
  const links = lengths.map((size): [string, ErofsNode] => [
    `l${size}`,
    { ...ATTRIBUTES, type: "symlink", target: "t".repeat(size) },
  ]);
  withImage(directory(Object.fromEntries(links)), [], (image) => {
    mountErofs(image);
    whileMounted(image.target, () => {
      for (const size of lengths) assert.equal(readlinkSync(join(image.target, `l${size}`)).length, size);
    });
  });
});

test("the kernel shows 2,000 names of one inode as hard links", (t) => {
  if (!canMount(t)) return;
  const linked = file(100, 0);
  const tree = directory({ a: directory(repeated(linked, 1999)), b: linked });
  withImage(tree, [deviceContent(0)], (image) => {
    mountErofs(image);
    whileMounted(image.target, () => {
      const inodes = new Set(
        readdirSync(join(image.target, "a")).map((name) => lstatSync(join(image.target, "a", name)).ino),
      );
      assert.deepEqual([...inodes], [lstatSync(join(image.target, "b")).ino]);
      assert.equal(lstatSync(join(image.target, "b")).nlink, 2000);
    });
  });
});

test("the kernel reads a file behind 15 TiB of a sparse device through one chunk", (t) => {
  if (!canMount(t)) return;
  const size = 15 * 2 ** 40;
  const tree = directory({
    huge: { ...file(size, 0), extents: [{ fileOffset: 0, size, device: 0, deviceOffset: 0 }] },
    end: file(5, size),
  });
  withDirectory((root) => {
    const device = join(root, "device");
    const fd = openSync(device, "w");
    if (!canGrow(fd, size + BLOCK))
      return t.skip("needs a filesystem with files of 16 TiB for temporary files");
    writeSync(fd, Buffer.from("hello"), 0, 5, size);
    writeSync(fd, Buffer.from("last"), 0, 4, size - 4);
    closeSync(fd);
    const image = { meta: join(root, "meta"), devices: [device], target: join(root, "target") };
    mkdirSync(image.target);
    writeFileSync(image.meta, compileErofs(tree, { devices: [{ size: size + BLOCK }] }).bytes);
    mountErofs(image);
    whileMounted(image.target, () => {
      assert.equal(readFileSync(join(image.target, "end"), "utf8"), "hello");
      assert.equal(readAt(join(image.target, "huge"), size - 4, 4), "last");
      assert.equal(lstatSync(join(image.target, "huge")).size, size);
    });
  });
});

for (const { devices, call } of [
  { devices: 32, call: mountErofs },
  { devices: 100, call: fsmountErofs },
  { devices: 1000, call: fsmountErofs },
] as const) {
  test(`the kernel mounts ${devices} data devices with ${call.name}()`, (t) => {
    if (!canMount(t)) return;
    const contents = Array.from({ length: devices }, (_, device) => deviceContent(device, 1));
    const files = contents.map((_, device): [string, ErofsNode] => [`f${device}`, file(BLOCK, 0, device)]);
    withImage(directory(Object.fromEntries(files)), contents, (image) => {
      call(image);
      whileMounted(image.target, () => {
        for (const [device, content] of contents.entries()) {
          assert.deepEqual(readFileSync(join(image.target, `f${device}`)), Buffer.from(content));
        }
      });
    });
  });
}

test("mount(2) takes only as many devices as their options fit into 4095 bytes", (t) => {
  if (!canMount(t)) return;
  const devices = Array.from({ length: 200 }, (_, index) => `/${"d".repeat(40)}${index}`);
  withImage(directory({}), [], ({ meta, target }) => {
    assert.throws(() => mountErofs({ meta, devices, target }));
  });
});

test("the kernel shows ACLs, capabilities and the largest values", (t) => {
  if (!canMount(t)) return;
  // Version 2, then tag, permissions and id: owner rwx, user 1000 r-x, group r-x, mask r-x, others none.
  const acl =
    "02000000" +
    "01000700ffffffff" +
    "02000500e8030000" +
    "04000500ffffffff" +
    "10000500ffffffff" +
    "20000000ffffffff";
  // Version 2 and effective, CAP_NET_RAW permitted.
  const capability = "01000002" + "0020000000000000" + "0000000000000000";
  const xattrs = new Map([
    ["system.posix_acl_access", Buffer.from(acl, "hex")],
    ["system.posix_acl_default", Buffer.from(acl, "hex")],
    ["user.large", new Uint8Array(65_535).fill(7)],
    ["trusted.large", new Uint8Array(65_535).fill(8)],
  ]);
  const ping = { ...file(0, 0), xattrs: new Map([["security.capability", Buffer.from(capability, "hex")]]) };
  const tree = directory({ d: { ...directory({ ping }), mode: 0o750, xattrs } });
  withImage(tree, [], (image) => {
    mountErofs(image);
    whileMounted(image.target, () => assert.deepEqual(describeMount(image.target), describeTree(tree, [])));
  });
});

test("a mount that names no devices has no file contents", (t) => {
  if (!canMount(t)) return;
  withImage(directory({ f: file(BLOCK, 0) }), [deviceContent(0)], ({ meta, target }) => {
    mountErofs({ meta, devices: [], target });
    whileMounted(target, () => assert.throws(() => readFileSync(join(target, "f")), { code: "EIO" }));
  });
});

test("the kernel mounts image and devices in one file", (t) => {
  if (!canMount(t)) return;
  const contents = [0, 1].map((device) => deviceContent(device));
  const tree = directory({ a: file(5000, BLOCK, 0), b: file(5000, BLOCK, 1) });
  withImage(tree, contents, ({ meta, target }) => {
    for (const content of contents) appendFileSync(meta, content);
    mountErofs({ meta, devices: [], target });
    whileMounted(target, () => {
      assert.deepEqual(
        readFileSync(join(target, "a")),
        Buffer.from(contents[0]?.subarray(BLOCK, BLOCK + 5000) ?? []),
      );
      assert.deepEqual(
        readFileSync(join(target, "b")),
        Buffer.from(contents[1]?.subarray(BLOCK, BLOCK + 5000) ?? []),
      );
    });
  });
});

test("a read behind the end of a device fails", (t) => {
  if (!canMount(t)) return;
  withImage(directory({ f: file(BLOCK, 0) }), [deviceContent(0)], (image) => {
    truncateSync(image.devices[0] ?? "", 0);
    mountErofs(image);
    whileMounted(image.target, () =>
      assert.throws(() => readFileSync(join(image.target, "f")), { code: "EIO" }),
    );
  });
});

test("overlayfs obeys whiteouts and opaque marks of compiled layers", (t) => {
  if (!canMount(t)) return;
  const lower = directory({ gone: file(0, 0), kept: file(0, 0), opaque: directory({ hidden: file(0, 0) }) });
  const upper = directory({
    gone: createWhiteout(ATTRIBUTES),
    opaque: withOpaqueMark(directory({ fresh: file(0, 0) }), "trusted"),
  });
  withImage(lower, [], (below) => {
    mountErofs(below);
    whileMounted(below.target, () => {
      withImage(upper, [], (above) => {
        mountErofs(above);
        whileMounted(above.target, () => {
          withDirectory((target) => {
            mountOverlay({ layers: [above.target, below.target], target });
            whileMounted(target, () => {
              assert.deepEqual(readdirSync(target).sort(), ["kept", "opaque"]);
              assert.deepEqual(readdirSync(join(target, "opaque")), ["fresh"]);
            });
          });
        });
      });
    });
  });
});

interface Places {
  readonly meta: string;
  readonly devices: readonly string[];
  readonly target: string;
}

/** Calls back with an image and its devices as files, and an empty directory to mount on. */
function withImage(
  tree: ErofsDirectory,
  contents: readonly Uint8Array[],
  body: (places: Places) => void,
): void {
  withDirectory((root) => {
    const devices = contents.map((_, index) => join(root, `${index}`));
    for (const [index, content] of contents.entries()) writeFileSync(join(root, `${index}`), content);
    const meta = join(root, "meta");
    writeFileSync(
      meta,
      compileErofs(tree, { devices: contents.map(({ length }) => ({ size: length })) }).bytes,
    );
    const target = join(root, "target");
    mkdirSync(target);
    body({ meta, devices, target });
  });
}

function checkWithFsck({ meta, devices }: Places): void {
  const options = devices.map((device) => `--device=${device}`);
  const { status, stdout, stderr } = spawnSync("fsck.erofs", ["-d3", ...options, meta], { encoding: "utf8" });
  assert.deepEqual([status, (stdout + stderr).match(/No errors found|<E>.*/g)], [0, ["No errors found"]]);
}

/** The end of the inode that lies last, without what belongs to it; in bytes. */
function lastInodeEnd(image: Uint8Array): number {
  const nids = [...walkErofs(new ErofsReader(image))].map(({ nid }) => nid);
  return Math.max(...nids) * 32 + 64;
}

function withDirectory(body: (root: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "erofs-"));
  try {
    body(root);
  } finally {
    // Fails rather than deletes if something is still mounted: everything in a mounted image is read-only.
    rmSync(root, { recursive: true });
  }
}

function whileMounted(target: string, body: () => void): void {
  try {
    body();
  } finally {
    unmount(target);
  }
}

function withLoopDevices(files: readonly string[], body: (loops: readonly string[]) => void): void {
  const loops: string[] = [];
  try {
    for (const path of files) {
      loops.push(
        execFileSync("losetup", ["--find", "--show", "--read-only", path], { encoding: "utf8" }).trim(),
      );
    }
    body(loops);
  } finally {
    for (const loop of loops) execFileSync("losetup", ["--detach", loop]);
  }
}

function canMount(t: TestContext): boolean {
  const [major = 0, minor = 0] = readFileSync("/proc/sys/kernel/osrelease", "utf8").split(".").map(Number);
  const isNew =
    major > FILE_BACKED_SINCE[0] || (major === FILE_BACKED_SINCE[0] && minor >= FILE_BACKED_SINCE[1]);
  const hasErofs = readFileSync("/proc/filesystems", "utf8").includes("\terofs\n");
  if (process.getuid?.() === 0 && isNew && hasErofs) return true;
  t.skip("needs root and EROFS in Linux 6.12 or newer");
  return false;
}

function canGrow(fd: number, size: number): boolean {
  try {
    ftruncateSync(fd, size);
    return true;
  } catch (error) {
    closeSync(fd);
    if (systemCodeOf(error) === "EFBIG") return false;
    throw error;
  }
}

function hasTool(t: TestContext, command: string, option: string): boolean {
  try {
    execFileSync(command, [option], { stdio: "ignore" });
    return true;
  } catch {
    t.skip(`needs ${command}`);
    return false;
  }
}

function directory(children: Readonly<Record<string, ErofsNode>>): ErofsDirectory {
  return { ...ATTRIBUTES, type: "dir", children: new Map(Object.entries(children)) };
}

function file(size: number, deviceOffset: number, device = 0): ErofsFile {
  const extents = size === 0 ? [] : [{ fileOffset: 0, size, device, deviceOffset }];
  return { ...ATTRIBUTES, type: "reg", size, extents };
}

function numberedFiles(count: number, width: number): Record<string, ErofsNode> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`${index}`.padStart(width, "n"), file(0, 0)]),
  );
}

function repeated(node: ErofsNode, count: number): Record<string, ErofsNode> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`name${index}`, node]));
}

function readAt(path: string, offset: number, size: number): string {
  const fd = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(size);
    readSync(fd, bytes, 0, size, offset);
    return bytes.toString();
  } finally {
    closeSync(fd);
  }
}
