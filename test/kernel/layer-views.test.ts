/**
 * Every way to show images and layers, through the running kernel. Readers are processes of their own.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { readMountsAt, readMountTable, unmount } from "../../src/erofs-mount/index.ts";
import { MemoryBlob } from "../../src/blob/index.ts";
import { plainOf, sha256 } from "../../src/lazyfs/image.fixture.ts";
import { EarlyBlocks, stageWholeLayer, type ViewMethod } from "../../src/lazyfs/index.ts";
import { tarOf } from "../../src/tar/make-tar.fixture.ts";
import { deviceContent, describeTree, type Descriptions } from "./erofs-trees.ts";
import { missingFuse } from "./fuse-mounts.ts";
import { twoLayers, twoLayersMerged } from "./view-images.ts";
import { describeElsewhere, openSecond, run, setUpViews, startUser, type ViewSetup } from "./view-setup.ts";

const LIMIT = { timeout: 240_000 };
const METHODS: readonly ViewMethod[] = ["erofs-file", "erofs-loop", "tree"];
/** Of the root of both layers, in nanoseconds. */
const ROOT_TIME_NS = 1_700_000_000_123_456_789n;
const MERGED = describeTree(twoLayersMerged(), [deviceContent(0), deviceContent(1)]);

/** Sets up views where a method works; undefined after saying why not. */
async function setUp(t: TestContext, method: ViewMethod): Promise<ViewSetup | undefined> {
  const missing = missingFuse();
  if (missing !== undefined) {
    t.skip(missing);
    return undefined;
  }
  const setup = await setUpViews(t);
  const { methods, reasons } = await setup.views.probe();
  if (methods.includes(method)) return setup;
  t.skip(reasons.join("; "));
  return undefined;
}

for (const method of METHODS) {
  test(
    `an image is shown as it is by ${method}, and its contents come when they are read`,
    LIMIT,
    async (t) => {
      const setup = await setUp(t, method);
      if (setup === undefined) return;
      const { views, image, target, fetcher } = setup;
      const record = await views.mountImage(image, { directory: target, id: "one", method });
      assert.deepEqual([record.method, record.directory, record.writable], [method, target, false]);
      assert.equal(fetcher.brought, 0);
      assert.deepEqual(await describeElsewhere(target), MERGED);
      assert.ok(fetcher.brought > 40);
      await views.unmount("one");
      await assertNothingLeft(setup);
    },
  );

  test(`layers over one another show what the merged image shows, by ${method}`, LIMIT, async (t) => {
    const setup = await setUp(t, method);
    if (setup === undefined) return;
    const { views, image, target } = setup;
    await views.mountImage(image, { directory: target, id: "two", method, layered: true });
    assert.deepEqual(asOverlay(await describeElsewhere(target)), asOverlay(MERGED));
    await views.unmount(target);
    await assertNothingLeft(setup);
  });

  test(`a layer alone shows its whiteouts and opaque marks, by ${method}`, LIMIT, async (t) => {
    const setup = await setUp(t, method);
    if (setup === undefined) return;
    const { views, handles, target } = setup;
    const [, upper] = handles;
    assert.ok(upper);
    await views.mountLayer(upper, { directory: target, id: "layer-1", method });
    const [, layer] = twoLayers();
    assert.ok(layer);
    assert.deepEqual(await describeElsewhere(target), describeTree(layer.tree, [layer.device]));
    await views.unmount("layer-1");
    await assertNothingLeft(setup);
  });

  test(`what is written goes to the upper directory, by ${method}`, LIMIT, async (t) => {
    const setup = await setUp(t, method);
    if (setup === undefined) return;
    const { views, image, target } = setup;
    const record = await views.mountImage(image, { directory: target, id: "rw", method, writable: true });
    const { mtimeNs } = await stat(record.upper ?? "", { bigint: true });
    assert.equal(mtimeNs, ROOT_TIME_NS);
    const script = `echo new > fresh && echo more >> kept && rm link && mkdir d && mv both/low d/`;
    const { status, stderr } = await run("sh", "-c", `cd ${target} && ${script}`);
    assert.deepEqual([status, stderr], [0, ""]);
    const names = (await run("ls", target)).stdout.toString().trim().split("\n");
    assert.deepEqual(names, ["again", "big", "both", "d", "fresh", "kept", "linked", "replaced"]);
    assert.ok((await stat(join(record.upper ?? "", "fresh"))).isFile());
    const root = await stat(record.upper ?? "");
    assert.deepEqual([root.mode & 0o7777, root.uid], [0o755, 0]);
    await views.unmount("rw");
    await assertNothingLeft(setup);
  });

  test(`a byte that is wrong on its way is an error, by ${method}`, LIMIT, async (t) => {
    const setup = await setUp(t, method);
    if (setup === undefined) return;
    const { views, image, target, fetcher, events } = setup;
    // The first block of "kept"; "linked" lies elsewhere.
    fetcher.wrongChunks.add(4);
    await views.mountImage(image, { directory: target, id: "bad", method });
    const { status, stdout, stderr } = await run("cat", join(target, "kept"));
    assert.deepEqual([status, stdout.length], [1, 0]);
    assert.match(stderr, /Input\/output error/);
    assert.equal((await run("cat", join(target, "linked"))).status, 0);
    assert.ok(events.some((event) => event.kind === "read-failed" && event.code === "DIGEST_MISMATCH"));
    fetcher.wrongChunks.clear();
    assert.equal((await run("cat", join(target, "kept"))).stdout.length, 5000);
  });

  test(
    `a mount that is in use is not taken away, and who uses it is said, by ${method}`,
    LIMIT,
    async (t) => {
      const setup = await setUp(t, method);
      if (setup === undefined) return;
      const { views, image, target } = setup;
      await views.mountImage(image, { directory: target, id: "busy", method });
      const user = startUser(t, join(target, "kept"));
      await user.opened;
      await assert.rejects(views.unmount("busy"), (error: Error & { details?: { errno?: string } }) => {
        assert.match(error.message, /expected nobody to use it, got sh \(\d+\)/);
        return error.details?.errno === "EBUSY";
      });
      assert.deepEqual(
        views.mounts().map(({ id }) => id),
        ["busy"],
      );
      await views.unmount("busy", { lazy: true });
      assert.deepEqual(await readdir(target), []);
      assert.equal(await user.finish(), 5000);
    },
  );
}

test("a layer with hard links to files of layers below is not shown without them", LIMIT, async (t) => {
  const { store, views, image, handles, target } = await setUpViews(t);
  const tar = plainOf(tarOf([{ name: "link", type: "hardlink", linkName: "kept" }]));
  const descriptor = { mediaType: tar.mediaType, digest: sha256(tar.blob), size: tar.blob.length };
  const layer = { index: 2, descriptor, compression: "gzip", blob: new MemoryBlob(tar.blob) } as const;
  await using handle = await stageWholeLayer(layer, { store });
  const refused = { code: "NOT_SUPPORTED", message: /hard links to files of layers below/ };
  await assert.rejects(views.mountLayer(handle, { id: "alone", directory: target }), refused);
  const layers = [...handles, handle].map((each) => ({ handle: each }));
  const layered = views.mountImage({ ...image, layers }, { id: "over", directory: target, layered: true });
  await assert.rejects(layered, refused);
  assert.deepEqual(views.mounts(), []);
});

test("complete layers are mounted without FUSE", LIMIT, async (t) => {
  const setup = await setUp(t, "erofs-file");
  if (setup === undefined) return;
  const { views, image, target, store, fetcher, handles } = setup;
  for (const { layer } of handles) await fetcher.read(layer, { offset: 0, size: layer.dataSize });
  const record = await views.mountImage(image, { directory: target, id: "local" });
  assert.equal(record.method, "local");
  const table = await readMountTable();
  assert.ok(!table.some(({ mountPoint }) => mountPoint === join(store.root, "fuse")));
  assert.deepEqual(await describeElsewhere(target), MERGED);
});

test("a reader that waits is seen with the path of its file", LIMIT, async (t) => {
  const setup = await setUp(t, "erofs-file");
  if (setup === undefined) return;
  const { views, image, target, fetcher } = setup;
  await views.mountImage(image, { directory: target, id: "slow" });
  const gate = Promise.withResolvers<void>();
  fetcher.held = gate.promise;
  const reading = run("cat", join(target, "replaced/fresh"));
  const waiting = await until(async () => (await views.statistics("slow"))?.waiting ?? []);
  assert.deepEqual(
    waiting.map(({ path }) => path),
    ["replaced/fresh"],
  );
  gate.resolve();
  assert.equal((await reading).stdout.length, 20);
  const counts = await views.statistics("slow");
  assert.ok(counts !== undefined && counts.reads >= 1);
});

test(
  "a reader of a layer file that is interrupted ends at once, and so does what was fetched for it",
  LIMIT,
  async (t) => {
    const setup = await setUp(t, "erofs-file");
    if (setup === undefined) return;
    const { views, image, target, store, fetcher, handles } = setup;
    const [lower] = handles;
    assert.ok(lower);
    await views.mountImage(image, { directory: target, id: "held", method: "erofs-file" });
    fetcher.held = new Promise(() => undefined);
    const { digest } = lower.layer;
    const path = join(store.root, "fuse", digest.slice("sha256:".length));
    const child = spawn("cat", [path], { stdio: "ignore" });
    t.after(() => child.kill("SIGKILL"));
    await until(() => Promise.resolve(fetcher.layerStatistics(digest).waiting));
    const exit = once(child, "exit");
    child.kill("SIGTERM");
    assert.deepEqual(await exit, [null, "SIGTERM"]);
    await until(() => Promise.resolve(fetcher.layerStatistics(digest).waiting.length === 0 ? [true] : []));
  },
);

test("marks and early blocks are noticed once when a present block is read", LIMIT, async (t) => {
  const setup = await setUp(t, "tree");
  if (setup === undefined) return;
  const { views, image, target, fetcher, handles } = setup;
  const [lower] = handles;
  assert.ok(lower);
  await fetcher.read(lower.layer, { offset: 0, size: lower.layer.dataSize });
  fetcher.marksOf(lower.layer)[3] = 4;
  new EarlyBlocks(fetcher.earlyBlocksOf(lower.layer)).add({ offset: 0, size: lower.layer.dataSize });
  await views.mountImage(image, { directory: target, id: "marks", method: "tree" });
  assert.equal((await run("cat", join(target, "kept"))).stdout.length, 5000);
  await until(() => Promise.resolve(fetcher.noticed));
  assert.deepEqual([fetcher.noticed, fetcher.marksOf(lower.layer)[3]], [[4 * 4096], -1]);
  const counts = await views.statistics("marks");
  assert.deepEqual([counts?.reads, counts?.hits, counts?.hitBytes], [1, 1, 5000]);
  assert.equal(fetcher.earlyUsed[0], 8192n, "what came early was of use");
});

test(
  "a mount begun by a process that died is taken away, and one that is gone is forgotten",
  LIMIT,
  async (t) => {
    const setup = await setUp(t, "erofs-file");
    if (setup === undefined) return;
    const { views, image, target, store } = setup;
    await views.mountImage(image, { directory: target, id: "gone", writable: true });
    const [lease] = store.leases();
    assert.ok(lease);
    // As if the process had died before the mount was complete.
    store.setLease({ ...lease, id: "gone", detail: lease.detail.replace('"mounted"', '"making"') });
    await using second = await openSecond(setup);
    assert.deepEqual(await second.restore(), { kept: [], remade: [], dropped: ["gone"], failed: [] });
    assert.deepEqual([await readdir(target), store.leases()], [[], []]);
    assert.deepEqual(await readdir(join(store.root, "mounts")), []);
  },
);

for (const [method, volatile] of METHODS.flatMap((name) => [[name, false] as const, [name, true] as const])) {
  test(
    `a mount whose connection died is made again with what was written, by ${method}${volatile ? ", unsynced" : ""}`,
    LIMIT,
    async (t) => {
      const setup = await setUp(t, method);
      if (setup === undefined) return;
      const { views, image, target, store } = setup;
      await views.mountImage(image, { directory: target, id: "dead", writable: true, volatile, method });
      const [overlay] = await readMountsAt(target);
      // Later kernels say "fsync=volatile".
      assert.equal(
        overlay?.superOptions.some((option) => option.endsWith("volatile")),
        volatile,
      );
      assert.equal((await run("sh", "-c", `echo kept > ${target}/written`)).status, 0);
      await using second = await openSecond(setup);
      const report = await second.restore();
      assert.deepEqual(report, { kept: [], remade: ["dead"], dropped: [], failed: [] });
      const { stdout } = await run("cat", join(target, "written"), join(target, "kept"));
      assert.equal(stdout.length, 5005);
      await second.unmount("dead");
      assert.deepEqual([store.leases(), await readdir(target)], [[], []]);
    },
  );
}

test("layer files that somebody else took away come again when nobody has them", LIMIT, async (t) => {
  const setup = await setUp(t, "erofs-file");
  if (setup === undefined) return;
  const { views, image, target, store, root } = setup;
  const place = join(store.root, "fuse");
  await views.warm();
  await unmount(place, { lazy: true });
  // As the layers of an image do: they ask for their files at once.
  await Promise.all(Array.from({ length: 8 }, () => views.warm()));
  assert.equal((await readMountsAt(place)).length, 1);
  await views.mountImage(image, { directory: target, id: "first" });
  await unmount(place, { lazy: true });
  const other = join(root, "other");
  await mkdir(other);
  await assert.rejects(views.mountImage(image, { directory: other, id: "second", method: "erofs-file" }), {
    code: "MOUNT_FAILED",
  });
  assert.equal((await run("cat", join(target, "kept"))).stdout.length, 5000);
  await views.unmount("first");
  await views.mountImage(image, { directory: other, id: "second", method: "erofs-file" });
  assert.equal((await run("cat", join(other, "linked"))).stdout.length, 3 * 4096);
});

test(
  "ids that are no names, directories in use and methods that do not exist are refused",
  LIMIT,
  async (t) => {
    const setup = await setUp(t, "erofs-file");
    if (setup === undefined) return;
    const { views, image, target, store } = setup;
    await assert.rejects(views.mountImage(image, { directory: target, id: "../x" }), {
      code: "CONFIGURATION_INVALID",
    });
    await assert.rejects(views.mountImage(image, { directory: join(target, "none"), id: "x" }), {
      code: "MOUNT_FAILED",
    });
    await views.mountImage(image, { directory: target, id: "x" });
    await assert.rejects(views.mountImage(image, { directory: target, id: "y" }), { code: "ALREADY_EXISTS" });
    await assert.rejects(views.unmount("y"), { code: "FILE_NOT_FOUND" });
    assert.equal(store.leases().length, 1);
  },
);

/** Overlayfs counts the links of directories, and numbers files, in its own way. */
function asOverlay(found: Descriptions): Descriptions {
  return Object.fromEntries(
    Object.entries(found).map(([path, one]) => [
      path,
      { ...one, nlink: one.type === "dir" ? 1 : one.nlink, sameAs: "" },
    ]),
  );
}

async function assertNothingLeft({ root, store, target, views }: ViewSetup): Promise<void> {
  assert.deepEqual([views.mounts(), store.leases()], [[], []]);
  assert.deepEqual([await readdir(join(store.root, "mounts")), await readdir(target)], [[], []]);
  const below = (await readMountTable()).filter(({ mountPoint }) => mountPoint.startsWith(`${root}/`));
  assert.deepEqual(
    below.map(({ mountPoint }) => mountPoint).filter((place) => place !== join(store.root, "fuse")),
    [],
  );
}

async function until<T extends { readonly length: number }>(look: () => Promise<T>): Promise<T> {
  for (;;) {
    const found = await look();
    if (found.length > 0) return found;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
