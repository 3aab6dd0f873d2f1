import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Clock } from "../async/index.ts";
import { Snapshotter } from "./snapshotter.ts";
import type { SnapshotterEvent } from "./snapshotter-event.ts";

const none = { parent: "", labels: {} };

/** Time stands still until it is moved. */
class StillClock implements Clock {
  now = 1000;
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
  sleep(): Promise<void> {
    return new Promise(() => undefined);
  }
}

async function openIn(
  t: TestContext,
  options: { clock?: Clock; remapIds?: boolean; onEvent?: (event: SnapshotterEvent) => void } = {},
): Promise<{ root: string; snapshotter: Snapshotter; again: () => Promise<Snapshotter> }> {
  const folder = await mkdtemp(join(tmpdir(), "esgz-snapshots-"));
  const root = join(folder, "root");
  const open = (): Promise<Snapshotter> => Snapshotter.open({ root, clock: new StillClock(), ...options });
  let current = await open();
  t.after(async () => {
    await current.close();
    await rm(folder, { recursive: true });
  });
  const again = async (): Promise<Snapshotter> => {
    await current.close();
    current = await open();
    return current;
  };
  return { root, snapshotter: current, again };
}

test("a snapshot that was prepared on nothing gets its parent when it is committed", async (t) => {
  const { snapshotter } = await openIn(t);
  for (const name of ["a", "b"]) {
    await snapshotter.prepare(`${name}-key`, none);
    await snapshotter.commit(`${name}-key`, { name, ...none });
  }
  await snapshotter.prepare("rebased", none);
  const absent = snapshotter.commit("rebased", { name: "c", parent: "absent", labels: {} });
  await assert.rejects(absent, { code: "SNAPSHOT_NOT_FOUND" });
  await snapshotter.commit("rebased", { name: "c", parent: "a", labels: {} });
  assert.equal(snapshotter.stat("c").parent, "a");
  await assert.rejects(snapshotter.remove("a"), { code: "PRECONDITION_FAILED" });
  await snapshotter.prepare("fixed", { parent: "a", labels: {} });
  const moved = snapshotter.commit("fixed", { name: "d", parent: "b", labels: {} });
  await assert.rejects(moved, { code: "REQUEST_INVALID" });
  await snapshotter.commit("fixed", { name: "d", parent: "a", labels: {} });
});

test("a snapshot of a user namespace is its root's, and mapped by whoever mounts it, if that was agreed", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("owners want root");
  const label = "containerd.io/snapshot/uidmapping";
  const labels = { [label]: "0:100000:65536" };
  for (const remapIds of [false, true]) {
    const { root, snapshotter } = await openIn(t, { remapIds });
    await snapshotter.prepare("base-key", none);
    await snapshotter.commit("base-key", { name: "base", ...none });
    const prepared = await snapshotter.prepare("mapped", { parent: "base", labels });
    const { gid, uid } = await stat(join(root, "snapshots", "2", "fs"));
    assert.deepEqual({ gid, uid }, { gid: 0, uid: 100_000 });
    const mounts = await snapshotter.mounts("mapped");
    assert.deepEqual(prepared, { kind: "mounts", mounts });
    assert.equal(mounts[0]?.options.includes("uidmap=0:100000:65536"), remapIds);
    const plain = await snapshotter.prepare("plain", { parent: "base", labels: {} });
    assert.doesNotMatch(JSON.stringify(plain), /uidmap/);
    const wrong = snapshotter.prepare("wrong", { parent: "base", labels: { [label]: "7" } });
    await assert.rejects(wrong, { code: "REQUEST_INVALID" });
  }
});

test("times are the clock's, and everything is the same after a restart", async (t) => {
  const clock = new StillClock();
  const { again, snapshotter } = await openIn(t, { clock });
  await snapshotter.prepare("key", { parent: "", labels: { a: "1" } });
  clock.now = 2000;
  await snapshotter.commit("key", { name: "layer", parent: "", labels: { b: "2" } });
  clock.now = 3000;
  snapshotter.update("layer", { labels: { c: "3" }, mask: ["labels.c"] });
  await snapshotter.view("view", { parent: "layer", labels: {} });
  const before = snapshotter.list([]);
  const layer = snapshotter.stat("layer");
  assert.deepEqual([layer.createdMs, layer.updatedMs, layer.labels], [2000, 3000, { b: "2", c: "3" }]);
  const mounts = await snapshotter.mounts("view");
  const reopened = await again();
  assert.deepEqual(reopened.list([]), before);
  assert.deepEqual(await reopened.mounts("view"), mounts);
});

test("without a host for layers, targets are unpacked, and why is told", async (t) => {
  const events: SnapshotterEvent[] = [];
  const { snapshotter } = await openIn(t, { onEvent: (event) => events.push(event) });
  const labels = { "containerd.io/snapshot.ref": "chain" };
  assert.equal((await snapshotter.prepare("key", { parent: "", labels })).kind, "mounts");
  const decline = { target: "chain", reason: "remote layers are not enabled", ms: 0, atMs: 1000 };
  assert.deepEqual(events, [{ kind: "declined", ...decline }]);
  assert.deepEqual(snapshotter.declines, [decline]);
});

test("what happened to the directory behind its back is told at the start, and keeps nothing from opening", async (t) => {
  const events: SnapshotterEvent[] = [];
  const { again, root, snapshotter } = await openIn(t, { onEvent: (event) => events.push(event) });
  const prepared = await snapshotter.prepare("key", none);
  assert.ok(prepared.kind === "mounts");
  await rm(join(root, "snapshots", "1"), { recursive: true });
  const reopened = await again();
  assert.deepEqual(events, [
    { kind: "directory-missing", name: "key", directory: join(root, "snapshots", "1") },
  ]);
  assert.deepEqual(await reopened.mounts("key"), prepared.mounts);
  await reopened.close();
  await writeFile(join(root, "journal"), "nonsense\nand more\n");
  events.length = 0;
  const emptied = await again();
  assert.equal(emptied.size, 0);
  await emptied.cleanup();
  assert.deepEqual(events, [
    { kind: "journal-damaged", lines: 2 },
    { kind: "set-aside", directory: join(root, "snapshots", "1.lost") },
  ]);
  assert.deepEqual(await readdir(join(root, "snapshots", "1.lost")), ["fs", "work"]);
  const next = await emptied.prepare("key", none);
  assert.ok(next.kind === "mounts");
  assert.equal(next.mounts[0]?.source, join(root, "snapshots", "2", "fs"));
});

test("a root where no directories can be made is refused, and not tried for ever", async () => {
  const opening = Snapshotter.open({ root: "/proc/esgz-nothing/below", clock: new StillClock() });
  await assert.rejects(opening, {
    code: "IO_FAILED",
    message: /^Cannot make snapshot directory "\/proc\/esgz-nothing\/below\/snapshots": /,
  });
});

test("a root that mount options cannot name is refused", async () => {
  for (const root of ["relative", "/with:colon", "/with,comma", "/with\\backslash"]) {
    const opening = Snapshotter.open({ root, clock: new StillClock() });
    await assert.rejects(opening, { code: "CONFIGURATION_INVALID" });
  }
});
