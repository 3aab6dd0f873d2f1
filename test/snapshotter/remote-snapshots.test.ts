// Layers that nobody unpacked: how they come, stay, and come back.
import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { type Clock, systemClock } from "../../src/async/index.ts";
import { bindMount, isMounted, listMountsBelow } from "../../src/erofs-mount/index.ts";
import type { Digest } from "../../src/oci/index.ts";
import { Snapshotter, type SnapshotterEvent } from "../../src/snapshotter/index.ts";
import { DirectoryLayers } from "./directory-layers.ts";

const TARGET = "containerd.io/snapshot.ref";

class Bench {
  readonly layers: DirectoryLayers = new DirectoryLayers();
  readonly events: SnapshotterEvent[] = [];
  readonly folder: string;
  snapshotter: Snapshotter | undefined;
  clock: Clock = systemClock;
  /** Longer than any layer here takes on any machine. */
  prepareTimeoutMs = 60_000;

  constructor(folder: string) {
    this.folder = folder;
  }

  get root(): string {
    return join(this.folder, "root");
  }

  /** Opens, or closes and opens again. */
  async open(): Promise<Snapshotter> {
    await this.snapshotter?.close();
    const { clock, events, layers, prepareTimeoutMs, root } = this;
    const onEvent = (event: SnapshotterEvent): void => void events.push(event);
    this.snapshotter = await Snapshotter.open({
      root,
      clock,
      remote: layers,
      onEvent,
      prepareTimeoutMs,
    });
    return this.snapshotter;
  }

  /** A layer with one file, and the labels to ask for it. */
  async layer(number: number, rest: readonly Digest[] = []): Promise<Record<string, string>> {
    const directory = join(this.folder, `layer-${number}`);
    await mkdir(directory);
    await writeFile(join(directory, `file-${number}`), String(number));
    this.layers.directories.set(digestOf(number), directory);
    return labelsFor(number, rest);
  }
}

/** What nobody asks for stays until the test says so, or the snapshotter ends. */
function holdIdle(one: Bench): PromiseWithResolvers<void> {
  const idle = Promise.withResolvers<void>();
  const sleep: Clock["sleep"] = async (ms, options) => {
    if (ms !== 5000) return await systemClock.sleep(ms, options);
    options?.signal?.addEventListener("abort", () => idle.resolve(), { once: true });
    await idle.promise;
  };
  one.clock = { ...systemClock, sleep };
  return idle;
}

function digestOf(number: number): Digest {
  return `sha256:${number.toString(16).padStart(64, "0")}`;
}

function labelsFor(number: number, rest: readonly Digest[] = []): Record<string, string> {
  return {
    [TARGET]: `chain-${number}`,
    "containerd.io/snapshot/cri.image-ref": "registry.test/team/image:1",
    "containerd.io/snapshot/cri.layer-digest": digestOf(number),
    "containerd.io/snapshot/cri.image-layers": [digestOf(number), ...rest].join(","),
    "containerd.io/snapshot/stargz/toc.digest": digestOf(1000 + number),
  };
}

async function bench(t: TestContext): Promise<Bench | undefined> {
  if (process.getuid?.() !== 0) {
    t.skip("mounting needs root");
    return undefined;
  }
  const one = new Bench(await mkdtemp(join(tmpdir(), "esgz-remote-")));
  t.after(async () => {
    await one.snapshotter?.close();
    for (const { mountPoint } of await listMountsBelow(one.root)) await one.layers.unmount(mountPoint);
    await rm(one.folder, { recursive: true });
  });
  return one;
}

const findTarget = (target: string, parent: string): string[] => [
  `labels."${TARGET}"==${target},parent=="${parent}"`,
];

test("a layer that is ready becomes a committed snapshot that containerd's question finds", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const snapshotter = await one.open();
  const labels = await one.layer(1);
  const prepared = await snapshotter.prepare("ns/1/extract", { parent: "", labels });
  assert.deepEqual(prepared, { kind: "remote", target: "chain-1", name: "chain-1" });
  const [found] = snapshotter.list(findTarget("chain-1", ""));
  assert.equal(found?.kind, "committed");
  assert.deepEqual(found.labels, { ...labels, "containerd.io/snapshot/remote": "remote snapshot" });
  assert.throws(() => snapshotter.stat("ns/1/extract"), { code: "SNAPSHOT_NOT_FOUND" });
  assert.deepEqual(await snapshotter.usage("chain-1"), { size: 4096, inodes: 3 });
  const [mount] = await snapshotter.view("view", { parent: "chain-1", labels: {} });
  assert.equal(mount?.type, "bind");
  assert.equal(await readFile(join(mount.source, "file-1"), "utf8"), "1");
});

test("two that ask for one target at once share one mount", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const snapshotter = await one.open();
  const labels = await one.layer(1);
  const keys = ["a/1/x", "b/2/x", "c/3/x"];
  const all = await Promise.all(keys.map((key) => snapshotter.prepare(key, { parent: "", labels })));
  for (const prepared of all)
    assert.deepEqual(prepared, { kind: "remote", target: "chain-1", name: "chain-1" });
  assert.equal(one.layers.requests.length, 1);
  assert.equal(snapshotter.size, 1);
  assert.equal((await listMountsBelow(one.root)).length, 1);
});

test("one target on two parents is two snapshots", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const snapshotter = await one.open();
  for (const name of ["a", "b"]) {
    await snapshotter.prepare(`${name}-active`, { parent: "", labels: {} });
    await snapshotter.commit(`${name}-active`, { name, parent: "", labels: {} });
  }
  const labels = await one.layer(1);
  for (const parent of ["a", "b"]) {
    assert.equal((await snapshotter.prepare(`on-${parent}`, { parent, labels })).kind, "remote");
    const [found, ...others] = snapshotter.list(findTarget("chain-1", parent));
    assert.equal(found?.parent, parent);
    assert.deepEqual(others, []);
  }
});

test("what is declined, fails or says nothing gets ordinary mounts and a reason", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  // Time passes only when somebody waits for it.
  one.clock = { ...systemClock, sleep: () => new Promise((resolve) => setImmediate(resolve)) };
  one.prepareTimeoutMs = 1000;
  const never = Promise.withResolvers<void>();
  const snapshotter = await one.open();
  const prepare = (key: string, labels: Record<string, string>): Promise<{ kind: string }> =>
    snapshotter.prepare(key, { parent: "", labels });
  assert.equal((await prepare("no source", { [TARGET]: "chain" })).kind, "mounts");
  assert.equal(
    (await prepare("bad", { ...labelsFor(1), "containerd.io/snapshot/cri.layer-digest": "x" })).kind,
    "mounts",
  );
  one.layers.beforeReady = never.promise;
  assert.equal((await prepare("late", await one.layer(3))).kind, "mounts");
  assert.deepEqual(
    snapshotter.declines.map(({ reason }) => reason),
    [
      "its labels name no image reference and layer digest",
      "its label containerd.io/snapshot/cri.layer-digest is no digest",
      "expected an answer within 1000 ms, got none",
    ],
  );
  assert.equal(one.layers.requests[0]?.signal.aborted, true);
  one.layers.beforeReady = Promise.resolve();
  one.layers.beforeMount = never.promise;
  assert.equal((await prepare("stuck", await one.layer(4))).kind, "mounts");
  assert.match(snapshotter.declines.at(-1)?.reason ?? "", /within 1000 ms/);
  // They are ordinary snapshots: all of them can be committed.
  await snapshotter.commit("late", { name: "chain-3", parent: "", labels: {} });
  never.resolve();
});

test("all of 70 layers are remote although the label has room for 50", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const snapshotter = await one.open();
  const digests = Array.from({ length: 70 }, (_, index) => digestOf(index));
  let parent = "";
  for (const index of digests.keys()) {
    const labels = await one.layer(index, digests.slice(index + 1, index + 50));
    const prepared = await snapshotter.prepare(`key-${index}`, { parent, labels });
    assert.equal(prepared.kind, "remote");
    parent = `chain-${index}`;
  }
  const prepared = await snapshotter.prepare("container", { parent, labels: {} });
  assert.ok(prepared.kind === "mounts");
  const lower = prepared.mounts[0]?.options.find((option) => option.startsWith("lowerdir="));
  assert.equal(lower?.split(":").length, 70);
});

test("layers above the first are mounted before they are asked for, and what nobody asks for goes", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const idle = holdIdle(one);
  const snapshotter = await one.open();
  for (const number of [2, 3]) await one.layer(number);
  const first = await one.layer(1, [digestOf(2), digestOf(3), digestOf(4)]);
  await snapshotter.prepare("1", { parent: "", labels: first });
  while ((await listMountsBelow(one.root)).length < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(snapshotter.size, 1);
  one.layers.beforeMount = Promise.reject(new Error("nothing is to be mounted any more"));
  one.layers.beforeMount.catch(() => undefined);
  const second = await snapshotter.prepare("2", { parent: "chain-1", labels: labelsFor(2, [digestOf(3)]) });
  assert.equal(second.kind, "remote");
  const [view] = await snapshotter.view("view", { parent: "chain-2", labels: {} });
  assert.match(view?.options.join() ?? "", /lowerdir=/);
  idle.resolve();
  while ((await listMountsBelow(one.root)).length > 2) await new Promise((resolve) => setImmediate(resolve));
  await snapshotter.cleanup();
  const ids = await readdir(join(one.root, "snapshots"));
  assert.equal(ids.length, 3);
});

test("what was mounted ahead when the snapshotter ended goes at the next start", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  holdIdle(one);
  let snapshotter = await one.open();
  await one.layer(2);
  await snapshotter.prepare("1", { parent: "", labels: await one.layer(1, [digestOf(2)]) });
  while ((await listMountsBelow(one.root)).length < 2) await new Promise((resolve) => setImmediate(resolve));
  snapshotter = await one.open();
  await snapshotter.cleanup();
  assert.equal((await listMountsBelow(one.root)).length, 1);
  assert.equal(snapshotter.size, 1);
});

test("after a restart without a registry snapshots are there, and their layers when they can be had", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  let snapshotter = await one.open();
  await snapshotter.prepare("1", { parent: "", labels: await one.layer(1) });
  await snapshotter.prepare("2", { parent: "chain-1", labels: await one.layer(2) });
  await snapshotter.prepare("container", { parent: "chain-2", labels: { mine: "yes" } });
  snapshotter.update("chain-1", { labels: { late: "label" }, mask: ["labels.late"] });
  const mounts = await snapshotter.mounts("container");

  one.layers.isDown = true;
  const [mounted] = await listMountsBelow(one.root);
  assert.ok(mounted !== undefined);
  await one.layers.unmount(mounted.mountPoint);
  snapshotter = await one.open();
  await snapshotter.restored();
  assert.equal(snapshotter.stat("chain-1").labels["late"], "label");
  assert.equal(snapshotter.stat("container").kind, "active");
  await assert.rejects(snapshotter.mounts("container"), { code: "MOUNT_FAILED", message: /is unavailable/ });
  assert.ok(one.events.some(({ kind }) => kind === "restore-failed"));

  one.layers.isDown = false;
  assert.deepEqual(await snapshotter.mounts("container"), mounts);
  assert.equal((await listMountsBelow(one.root)).length, 2);
});

test("a layer is mounted again by the table of contents that it was prepared with", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  one.layers.tocDigest = digestOf(77);
  let snapshotter = await one.open();
  const { "containerd.io/snapshot/stargz/toc.digest": _, ...unknown } = await one.layer(2);
  await snapshotter.prepare("1", { parent: "", labels: await one.layer(1) });
  await snapshotter.prepare("2", { parent: "chain-1", labels: unknown });
  one.layers.tocDigest = undefined;
  await snapshotter.prepare("3", { parent: "chain-2", labels: await one.layer(3) });
  const before = one.layers.wanted.splice(0);
  // As prepared; where that says nothing, as the client knows it.
  assert.deepEqual(before, [digestOf(77), digestOf(77), digestOf(1003)]);
  snapshotter = await one.open();
  await snapshotter.restored();
  assert.deepEqual(one.layers.wanted, before);
});

test("a parent stays while a child of it is being prepared", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  const snapshotter = await one.open();
  await snapshotter.prepare("1", { parent: "", labels: await one.layer(1) });
  const ready = Promise.withResolvers<void>();
  one.layers.beforeReady = ready.promise;
  const labels = await one.layer(2);
  const child = snapshotter.prepare("2", { parent: "chain-1", labels });
  while (one.layers.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await assert.rejects(snapshotter.remove("chain-1"), { code: "PRECONDITION_FAILED" });
  ready.resolve();
  assert.equal((await child).kind, "remote");
  await snapshotter.remove("chain-2");
  await snapshotter.remove("chain-1");
  await snapshotter.cleanup();
  assert.deepEqual(await listMountsBelow(one.root), []);
  assert.equal(await readFile(join(one.folder, "layer-1", "file-1"), "utf8"), "1");
});

test("what a crash left between mounting and writing down goes at the next start, and nothing else", async (t) => {
  const one = await bench(t);
  if (one === undefined) return;
  let snapshotter = await one.open();
  await snapshotter.prepare("1", { parent: "", labels: await one.layer(1) });
  const left = join(one.root, "snapshots", "99", "fs");
  await mkdir(left, { recursive: true });
  await bindMount({ source: join(one.folder, "layer-1"), directory: left });
  snapshotter = await one.open();
  await snapshotter.cleanup();
  assert.deepEqual((await readdir(join(one.root, "snapshots"))).length, 1);
  assert.equal(await isMounted(left), false);
  assert.equal(await readFile(join(one.folder, "layer-1", "file-1"), "utf8"), "1");
  // Its id is not given away again.
  const prepared = await snapshotter.prepare("next", { parent: "", labels: {} });
  assert.ok(prepared.kind === "mounts");
  assert.match(prepared.mounts[0]?.source ?? "", /\/100\/fs$/);
});
