/**
 * The running kernel takes what the erofs-mount module gives it, and gives it back.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { chmodSync, existsSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir, open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import {
  bindMount,
  isMounted,
  listMountsBelow,
  mountErofs,
  mountOverlay,
  probeErofsMount,
  readMountTable,
  unmount,
  unmountBelow,
  type ErofsMountSupport,
} from "../../src/erofs-mount/index.ts";
import { mountErofsByText } from "../../src/erofs-mount/mount-erofs-files.ts";
import { mountOverlayByText } from "../../src/erofs-mount/mount-overlay.ts";
import {
  compileErofs,
  createWhiteout,
  withOpaqueMark,
  type ErofsDirectory,
  type ErofsFile,
  type ErofsNode,
} from "../../src/erofs/index.ts";
import { EsgzError } from "../../src/errors/index.ts";
import { createAttributes, mountFuse, ROOT_NODE, serveFuse, type Filesystem } from "../../src/fuse/index.ts";
import { until } from "./daemon-setup.ts";
import { BLOCK, deviceContent } from "./erofs-trees.ts";

const ATTRIBUTES = { mode: 0o755, uid: 0, gid: 0, mtime: { seconds: 1, nanoseconds: 2 } };

let probed: Promise<ErofsMountSupport> | undefined;

function probe(): Promise<ErofsMountSupport> {
  return (probed ??= probeErofsMount());
}

test("the probe leaves nothing behind", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root");
  const directory = mkdtempSync(join(tmpdir(), "esgz-mounts-"));
  try {
    const support = await probeErofsMount({ directory });
    assert.equal(support.method === undefined, !support.fileBacked && !support.loop);
    assert.equal(support.fileBacked, support.fileBackedReason === undefined);
    assert.equal(support.loop, support.loopReason === undefined);
    assert.deepEqual(readdirSync(directory), []);
    await assertNoLoops(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the probe says why there are no mounts without privileges", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("needs root, to become somebody else");
  const directory = mkdtempSync(join(tmpdir(), "esgz-mounts-"));
  chmodSync(directory, 0o777);
  try {
    const library = new URL("../../src/erofs-mount/index.ts", import.meta.url).href;
    const code = `process.setgroups([]); process.setgid(65534); process.setuid(65534);
      const { probeErofsMount } = await import(${JSON.stringify(library)});
      console.log(JSON.stringify(await probeErofsMount({ directory: ${JSON.stringify(directory)} })));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", code]);
    const support = JSON.parse(stdout) as ErofsMountSupport;
    assert.deepEqual([support.fileBacked, support.loop, support.method], [false, false, undefined]);
    assert.match(support.fileBackedReason ?? "", /got EPERM \(mounting needs root/);
    assert.match(support.loopReason ?? "", /got E(ACCES|PERM|NOENT)/);
    assert.deepEqual(readdirSync(directory), []);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("a layer with its data file is mounted with flags, and closed once or more", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, directory({ f: file(5000, BLOCK) }), [deviceContent(0)]);
    const target = makeDirectory(root, "target");
    const mount = await mountErofs({ ...image, directory: target, noDevices: true, noSetuid: true });
    assert.deepEqual(
      readFileSync(join(target, "f")),
      Buffer.from(deviceContent(0).slice(BLOCK, BLOCK + 5000)),
    );
    const shown = (await readMountTable()).find(({ id }) => id === mount.id);
    assert.deepEqual([shown?.mountPoint, shown?.type, shown?.source], [target, "erofs", image.meta]);
    assert.deepEqual(shown?.mountOptions.slice(0, 3), ["ro", "nosuid", "nodev"]);
    assert.equal(await isMounted(target), true);
    await Promise.all([mount.close(), mount.close()]);
    await mount.close();
    assert.equal(await isMounted(target), false);
  });
});

test("a merged image is mounted over 60 devices", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(60), manyContents(60));
    const target = makeDirectory(root, "target");
    await using _mount = await mountErofs({ ...image, directory: target });
    assertManyFiles(target, 60);
  });
});

test("mount(2) takes 60 devices with commas in their paths", async (t) => {
  await withPlace(t, async (root) => {
    const place = makeDirectory(root, `comma,${"long".repeat(40)}`);
    const image = writeImage(place, manyFiles(60), manyContents(60));
    const target = makeDirectory(root, "target");
    const identity = await mountErofsByText({ ...image, directory: target, flagBits: 1 });
    assertManyFiles(target, 60);
    assert.equal((await readMountTable()).find((mount) => mount.id === identity.id)?.mountPoint, target);
    await unmount(target);
  });
});

test("mount(2) is not given more than it reads", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(300), manyContents(300));
    const attempt = mountErofsByText({ ...image, directory: makeDirectory(root, "target"), flagBits: 1 });
    await assert.rejects(attempt, isMountFailure("E2BIG"));
  });
});

test("loop devices serve a mount and go with it", async (t) => {
  const support = await probe();
  if (!support.loop) return t.skip(`needs loop devices: ${support.loopReason}`);
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(20), manyContents(20));
    const target = makeDirectory(root, "target");
    {
      await using mount = await mountErofs({ ...image, directory: target, method: "loop" });
      assert.equal(mount.method, "loop");
      assertManyFiles(target, 20);
      assert.equal(loopsOf(root).length, 21);
    }
    await assertNoLoops(root);
    await assert.rejects(
      mountErofs({ ...image, directory: join(root, "none"), method: "loop" }),
      isMountFailure("ENOENT"),
    );
    await assertNoLoops(root);
  });
});

test("paths may be long, and have commas, blanks, colons, backslashes and line feeds", async (t) => {
  await withPlace(t, async (root) => {
    const odd = "a,b c:d\\e\nf\u00e9";
    const place = makeDirectory(root, join(odd, "x".repeat(240), "y".repeat(240)));
    const image = writeImage(place, manyFiles(3), manyContents(3));
    const target = makeDirectory(place, odd);
    const mount = await mountErofs({ ...image, directory: target });
    assertManyFiles(target, 3);
    assert.equal(await isMounted(target), true);
    assert.deepEqual(
      (await listMountsBelow(root)).map(({ id, mountPoint }) => [id, mountPoint]),
      [[mount.id, target]],
    );
    await mount.close();
    assert.equal(await isMounted(target), false);
  });
});

test("devices that do not fit are refused before the kernel sees them", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(3), manyContents(3));
    const target = makeDirectory(root, "target");
    const [first = "", second = "", third = ""] = image.devices;
    const refuse = async (devices: readonly string[], errno: string, message: RegExp): Promise<void> => {
      const attempt = mountErofs({ meta: image.meta, devices, directory: target });
      await assert.rejects(attempt, isMountFailure(errno, message));
      assert.equal(await isMounted(target), false);
    };
    await refuse([first, second], "EINVAL", /expected 3 data devices, got 2/);
    await refuse([...image.devices, first], "EINVAL", /expected 3 data devices, got 4/);
    await refuse([], "EINVAL", /expected 3 data devices, named or behind the image, got none/);
    await refuse([first, second, join(root, "none")], "ENOENT", /stat of ".*none"/);
    truncateSync(third, 0);
    await refuse(image.devices, "EINVAL", /expected 4096 bytes on data device 2 ".*", got 0/);
    await refuse([first, second, target], "EINVAL", /fsconfig/);
  });
});

test("what is no image, and no place, is refused", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, directory({}), []);
    const target = makeDirectory(root, "target");
    const noImage = join(root, "no-image");
    writeFileSync(noImage, new Uint8Array(8192));
    await assert.rejects(mountErofs({ meta: noImage, devices: [], directory: target }), {
      code: "EROFS_INVALID",
    });
    const nowhere = join(root, "nowhere");
    await assert.rejects(
      mountErofs({ ...image, directory: nowhere }),
      isMountFailure("ENOENT", /move_mount.*does not exist/),
    );
    await assert.rejects(
      mountErofs({ ...image, directory: image.meta }),
      isMountFailure("EINVAL", /a directory goes on a directory/),
    );
    await assert.rejects(
      mountErofs({ ...image, directory: target, signal: AbortSignal.abort(new Error("enough")) }),
      /enough/,
    );
    assert.deepEqual(await listMountsBelow(root), []);
  });
});

test("an image with its devices behind itself needs none named", async (t) => {
  await withPlace(t, async (root) => {
    const [content = new Uint8Array(0)] = manyContents(1);
    const image = writeImage(root, manyFiles(1), [content]);
    writeFileSync(image.meta, Buffer.concat([readFileSync(image.meta), content]));
    const target = makeDirectory(root, "target");
    await using _mount = await mountErofs({ meta: image.meta, devices: [], directory: target });
    assertManyFiles(target, 1);
  });
});

test("a mount in use stays until it is let go, or is detached", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(1), manyContents(1));
    const target = makeDirectory(root, "target");
    const mount = await mountErofs({ ...image, directory: target });
    const used = await open(join(target, "f0"));
    try {
      await assert.rejects(mount.close(), isMountFailure("EBUSY", /lazy/));
      await assert.rejects(unmount(target), isMountFailure("EBUSY"));
      assert.equal(await isMounted(target), true);
      await mount[Symbol.asyncDispose]();
      assert.equal(await isMounted(target), false);
      const { bytesRead } = await used.read(Buffer.alloc(BLOCK), 0, BLOCK, 0);
      assert.equal(bytesRead, BLOCK);
    } finally {
      await used.close();
    }
    await assert.rejects(unmount(target), isMountFailure("EINVAL", /not a mount point/));
    await assert.rejects(unmount(join(root, "none")), isMountFailure("ENOENT"));
  });
});

test("a handle takes away its own mount only", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(1), manyContents(1));
    const target = makeDirectory(root, "target");
    const first = await mountErofs({ ...image, directory: target });
    const over = await mountErofs({ ...image, directory: target });
    await assert.rejects(first.close(), isMountFailure("EBUSY", /another mount covers/));
    await over.close();
    await unmount(target);
    // The kernel gives this one the number that the first had, unless another process is faster.
    const other = await mountErofs({ ...image, directory: target });
    await first.close();
    assert.equal(await isMounted(target), true);
    await other.close();
  });
});

test("a handle follows its mount to where it was moved", async (t) => {
  await withPlace(t, async (root) => {
    const image = writeImage(root, manyFiles(1), manyContents(1));
    const target = makeDirectory(root, "parent/target");
    const mount = await mountErofs({ ...image, directory: target });
    renameSync(join(root, "parent"), join(root, "renamed"));
    assert.equal(await isMounted(join(root, "renamed/target")), true);
    await mount.close();
    assert.equal(await isMounted(join(root, "renamed/target")), false);
  });
});

test("overlayfs hides what the upper of two layers removes", async (t) => {
  await withPlace(t, async (root) => {
    const lower = directory({
      gone: file(0, 0),
      kept: file(0, 0),
      opaque: directory({ hidden: file(0, 0) }),
    });
    const upper = directory({
      gone: createWhiteout(ATTRIBUTES),
      opaque: withOpaqueMark(directory({ fresh: file(0, 0) }), "trusted"),
    });
    const below = await mountTree(root, "below", lower);
    const above = await mountTree(root, "above", upper);
    const target = makeDirectory(root, "target");
    const mount = await mountOverlay({ lower: [above, below], directory: target });
    assert.deepEqual(readdirSync(target).sort(), ["kept", "opaque"]);
    assert.deepEqual(readdirSync(join(target, "opaque")), ["fresh"]);
    assert.throws(() => writeFileSync(join(target, "new"), ""), { code: "EROFS" });
    await mount.close();
    assert.deepEqual((await unmountBelow(root)).sort(), [above, below]);
  });
});

for (const way of ["directories one by one", "all options in one text"]) {
  test(`overlayfs writes to an upper directory, with ${way} and any path`, async (t) => {
    await withPlace(t, async (root) => {
      const odd = "o\\:d,d:d\\";
      const lower = await mountTree(root, `lower${odd}`, directory({ old: file(0, 0), removed: file(0, 0) }));
      const [upper, work, target] = ["upper", "work", "target"].map((name) =>
        makeDirectory(root, `${name}${odd}`),
      );
      assert.ok(upper !== undefined && work !== undefined && target !== undefined);
      const settings = { metacopy: "off" };
      await using mount =
        way === "directories one by one"
          ? await mountOverlay({ lower: [lower], upper, work, directory: target, settings })
          : await mountOverlayByText(
              { lower: [lower], upper, work, settings },
              { directory: target, flagBits: 0 },
            );
      writeFileSync(join(target, "new"), "written");
      rmSync(join(target, "removed"));
      assert.deepEqual(readdirSync(target).sort(), ["new", "old"]);
      assert.equal(readFileSync(join(upper, "new"), "utf8"), "written");
      assert.ok(statSync(join(upper, "removed")).isCharacterDevice());
      await mount.close();
      await unmount(lower);
    });
  });
}

test("overlayfs takes many directories with long paths, in each way", async (t) => {
  await withPlace(t, async (root) => {
    const place = makeDirectory(root, join("x".repeat(200), "y".repeat(200)));
    const lower = Array.from({ length: 40 }, (_, index) => makeDirectory(place, `${index}`));
    for (const [index, path] of lower.entries()) writeFileSync(join(path, `f${index}`), "");
    const target = makeDirectory(root, "target");
    const names = lower.map((_, index) => `f${index}`).sort();
    const first = await mountOverlay({ lower, directory: target });
    assert.deepEqual(readdirSync(target).sort(), names);
    await first.close();
    const second = await mountOverlayByText({ lower, settings: {} }, { directory: target, flagBits: 1 });
    assert.deepEqual(readdirSync(target).sort(), names);
    await second.close();
  });
});

test("an overlay that cannot be is refused with the reason", async (t) => {
  await withPlace(t, async (root) => {
    const lower = makeDirectory(root, "lower");
    const upper = makeDirectory(root, "upper");
    const target = makeDirectory(root, "target");
    const refuse = (options: object, errno: string, message: RegExp): Promise<void> =>
      assert.rejects(
        mountOverlay({ lower: [lower], directory: target, ...options }),
        isMountFailure(errno, message),
      );
    await refuse({}, "EINVAL", /expected two lower directories, or one and an upper one, got 1/);
    await refuse({ upper }, "EINVAL", /both an upper and a work directory/);
    await refuse({ lower: [lower, join(root, "none")] }, "ENOENT", /does not exist/);
    await refuse({ upper, work: upper }, "EINVAL", /does not take these directories together/);
    await refuse(
      { lower: [lower, upper], settings: { nothing: "1" } },
      "EINVAL",
      /Unknown parameter 'nothing'/,
    );
    const [under, over] = [makeDirectory(root, "under"), makeDirectory(root, "over")];
    const work = makeDirectory(root, "work");
    await using below = await mountOverlay({ lower: [lower], upper, work, directory: under });
    const nested = { upper: makeDirectory(under, "upper"), work: makeDirectory(under, "work") };
    await assert.rejects(
      mountOverlay({ lower: [lower], ...nested, directory: over }),
      isMountFailure(
        "EINVAL",
        /upper and work have to lie on another filesystem, which is no overlay itself/,
      ),
    );
    await below.close();
    assert.deepEqual(await listMountsBelow(root), []);
  });
});

test("a directory is bound read-only, alone or with what is mounted below it", async (t) => {
  await withPlace(t, async (root) => {
    const source = makeDirectory(root, "source");
    await mountTree(root, "source/inner", directory({ f: file(0, 0) }));
    const target = makeDirectory(root, "target");
    const alone = await bindMount({ source, directory: target, readOnly: true });
    assert.deepEqual(readdirSync(join(target, "inner")), []);
    assert.throws(() => writeFileSync(join(target, "new"), ""), { code: "EROFS" });
    writeFileSync(join(source, "new"), "");
    assert.ok(existsSync(join(target, "new")));
    await alone.close();
    const all = await bindMount({ source, directory: target, recursive: true });
    assert.deepEqual(readdirSync(join(target, "inner")), ["f"]);
    writeFileSync(join(target, "other"), "");
    await assert.rejects(all.close(), isMountFailure("EBUSY"));
    await all.close({ lazy: true });
    await unmount(join(source, "inner"));
    await assert.rejects(
      bindMount({ source: join(root, "none"), directory: target }),
      isMountFailure("ENOENT"),
    );
  });
});

test("what an unclean stop left is taken away, the innermost first", async (t) => {
  await withPlace(t, async (root) => {
    const below = makeDirectory(root, "be low");
    const image = writeImage(root, directory({ d: directory({ e: directory({}) }) }), []);
    const [x, y] = [makeDirectory(below, "x\ny"), makeDirectory(below, "y")];
    for (const target of [x, x, join(x, "d"), join(x, "d"), y])
      await mountErofs({ ...image, directory: target });
    symlinkSync("be low", join(root, "link"));
    const kept = await unmountBelow(join(root, "link"), { accept: ({ mountPoint }) => mountPoint === y });
    assert.deepEqual(kept, [y]);
    const used = await open(join(x, "d"));
    await assert.rejects(unmountBelow(below), isMountFailure("EBUSY"));
    await used.close();
    await unmountBelow(below, { lazy: true });
    assert.deepEqual(await listMountsBelow(root), []);
    assert.deepEqual(await unmountBelow(below), []);
    assert.deepEqual(await unmountBelow(join(root, "none")), []);
  });
});

test("image and device may lie on a FUSE filesystem that the same thread serves", async (t) => {
  await withPlace(t, async (root) => {
    const [content = new Uint8Array(0)] = manyContents(1);
    const image = writeImage(root, manyFiles(1), [content]);
    const files = new Map([
      ["meta", readFileSync(image.meta)],
      ["data", Buffer.from(content)],
    ]);
    const served = makeDirectory(root, "served");
    await using fuse = await mountFuse(served);
    await using _server = await serveFuse(fuse.fd, {
      filesystem: new URL("deferring-filesystem.ts", import.meta.url),
      deferred: createServedFiles(files),
    });
    const methods = (await probe()).loop ? (["file", "loop"] as const) : (["file"] as const);
    for (const method of methods) {
      // More at once than the thread pool has threads, which the server needs for each answer.
      const targets = Array.from({ length: 6 }, (_, index) => makeDirectory(root, `target${index}`));
      const mounting = targets.map((target, index) => {
        const meta = index % 2 === 0 ? join(served, "meta") : image.meta;
        return mountErofs({ meta, devices: [join(served, "data")], directory: target, method });
      });
      const mounts = await Promise.all(mounting);
      const [first = ""] = targets;
      assert.deepEqual(await readFile(join(first, "f0")), Buffer.from(content));
      await Promise.all(mounts.map((mount) => mount.close()));
    }
  });
});

/** A directory of files in memory, whose answers take a turn of the event loop and of the thread pool. */
function createServedFiles(files: ReadonlyMap<string, Buffer>): Filesystem {
  const names = [...files.keys()];
  const attributesOf = (node: number): ReturnType<typeof createAttributes> =>
    node === ROOT_NODE
      ? createAttributes("dir", { inode: ROOT_NODE })
      : createAttributes("reg", { inode: node, size: files.get(names[node - 2] ?? "")?.length ?? 0 });
  const once = { generation: 0, entryTimeoutMs: 0, attributesTimeoutMs: 0 };
  const turn = (): Promise<unknown> => readFile("/proc/self/comm");
  return {
    lookup: async (_, name) => {
      await turn();
      const node = names.indexOf(name) + 2;
      return files.has(name) ? { ...once, node, attributes: attributesOf(node) } : undefined;
    },
    getattr: async (node) => {
      await turn();
      return { attributesTimeoutMs: 0, attributes: attributesOf(node) };
    },
    open: async () => {
      await turn();
      return { directIo: true };
    },
    read: async (node, { offset, size }) => {
      await turn();
      return files.get(names[node - 2] ?? "")?.subarray(offset, offset + size) ?? new Uint8Array(0);
    },
  };
}

/** Calls back with a private directory; afterwards nothing is mounted or attached below it, whatever happened. */
async function withPlace(t: TestContext, body: (root: string) => Promise<void>): Promise<void> {
  const { fileBacked, fileBackedReason } = await probe();
  if (!fileBacked) return t.skip(`needs EROFS mounts from files: ${fileBackedReason}`);
  const root = mkdtempSync(join(tmpdir(), "esgz-mounts-"));
  try {
    await body(root);
    assert.deepEqual(await listMountsBelow(root), []);
    await assertNoLoops(root);
  } finally {
    await unmountBelow(root, { lazy: true });
    rmSync(root, { recursive: true });
  }
}

interface Image {
  readonly meta: string;
  readonly devices: readonly string[];
}

function writeImage(root: string, tree: ErofsDirectory, contents: readonly Uint8Array[]): Image {
  const meta = join(root, "meta");
  writeFileSync(
    meta,
    compileErofs(tree, { devices: contents.map(({ length }) => ({ size: length })) }).bytes,
  );
  const devices = contents.map((content, index) => {
    const path = join(root, `data${index}`);
    writeFileSync(path, content);
    return path;
  });
  return { meta, devices };
}

async function mountTree(root: string, name: string, tree: ErofsDirectory): Promise<string> {
  const image = writeImage(mkdtempSync(join(root, "image-")), tree, []);
  const target = join(root, name);
  await mkdir(target);
  await mountErofs({ ...image, directory: target });
  return target;
}

function makeDirectory(root: string, name: string): string {
  const path = join(root, name);
  mkdirSync(path, { recursive: true });
  return path;
}

/** Files `f0`, `f1`, ... each of one block and on a device of its own. */
function manyFiles(count: number): ErofsDirectory {
  const files = Array.from({ length: count }, (_, index): [string, ErofsNode] => [
    `f${index}`,
    file(BLOCK, 0, index),
  ]);
  return directory(Object.fromEntries(files));
}

function manyContents(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => deviceContent(index, 1));
}

function assertManyFiles(target: string, count: number): void {
  for (const [index, content] of manyContents(count).entries()) {
    assert.deepEqual(readFileSync(join(target, `f${index}`)), Buffer.from(content));
  }
}

function directory(children: Readonly<Record<string, ErofsNode>>): ErofsDirectory {
  return { ...ATTRIBUTES, type: "dir", children: new Map(Object.entries(children)) };
}

function file(size: number, deviceOffset: number, device = 0): ErofsFile {
  const extents = size === 0 ? [] : [{ fileOffset: 0, size, device, deviceOffset }];
  return { ...ATTRIBUTES, type: "reg", size, extents };
}

/** The loop devices whose files lie below a directory. */
function loopsOf(root: string): string[] {
  return readdirSync("/sys/block").filter((name) => {
    try {
      return readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8").startsWith(`${root}/`);
    } catch {
      return false;
    }
  });
}

/**
 * Nothing below a directory is attached. A device goes with the last who has it, and that may be somebody else for a moment: udev,
 * which looks at each, or a process of another test that began with a copy of all mounts.
 */
async function assertNoLoops(root: string): Promise<void> {
  await until(() => loopsOf(root).length === 0, "the end of loop devices");
}

function isMountFailure(errno: string, message = /^Cannot /): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof EsgzError, String(error));
    assert.equal(error.code, "MOUNT_FAILED");
    assert.equal(error.details["errno"], errno, error.message);
    assert.match(error.message, message);
    return true;
  };
}
