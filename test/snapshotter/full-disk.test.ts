// A disk that is full: calls fail with their error, take nothing back that was answered, and work again when there is room.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { systemClock } from "../../src/async/index.ts";
import { isEsgzError } from "../../src/errors/index.ts";
import { Snapshotter } from "../../src/snapshotter/index.ts";

const run = promisify(execFile);
const isFull = (error: unknown): boolean => isEsgzError(error, "NO_SPACE");

test("a full disk fails calls and loses nothing", async (t) => {
  if (process.getuid?.() !== 0) return t.skip("mounting needs root");
  const folder = await mkdtemp(join(tmpdir(), "esgz-full-"));
  await run("mount", ["-t", "tmpfs", "-o", "size=1m,nr_inodes=200", "tmpfs", folder]);
  t.after(async () => {
    await run("umount", ["-l", folder]);
    await rm(folder, { recursive: true });
  });
  const root = join(folder, "root");
  const snapshotter = await Snapshotter.open({ root, clock: systemClock });
  await snapshotter.prepare("before", { parent: "", labels: {} });
  await snapshotter.prepare("kept", { parent: "", labels: {} });

  const ballast = join(folder, "ballast");
  await writeFile(ballast, Buffer.alloc(1 << 20)).catch(() => undefined);
  const labels = { large: "x".repeat(20_000) };
  await assert.rejects(snapshotter.prepare("refused", { parent: "", labels }), isFull);
  await assert.rejects(snapshotter.commit("before", { name: "layer", parent: "", labels }), isFull);
  assert.deepEqual(
    snapshotter
      .list([])
      .map(({ kind, name }) => `${kind} ${name}`)
      .toSorted(),
    ["active before", "active kept"],
  );

  // Neither is there room for as many directories as one likes.
  const many = async (): Promise<void> => {
    for (let index = 0; ; index += 1) await snapshotter.view(`view-${index}`, { parent: "", labels: {} });
  };
  await assert.rejects(many(), isFull);
  for (const { name } of snapshotter.list(["kind==view"])) await snapshotter.remove(name);
  await snapshotter.cleanup();
  // Removing is what makes room.
  await snapshotter.remove("kept");

  await rm(ballast);
  await snapshotter.commit("before", { name: "layer", parent: "", labels });
  await snapshotter.prepare("refused", { parent: "layer", labels: {} });
  await snapshotter.close();
  await using reopened = await Snapshotter.open({ root, clock: systemClock });
  assert.deepEqual(
    reopened
      .list([])
      .map(({ name }) => name)
      .toSorted(),
    ["layer", "refused"],
  );
  assert.deepEqual(reopened.stat("layer").labels, labels);
  await reopened.cleanup();
  await reopened.close();
});
