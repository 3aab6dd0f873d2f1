// A disk that is full while layers are fetched.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fetchSample, halfNoise, openFetchBench, serveFaulty } from "./fetch.fixture.ts";

/** A filesystem of 6 MiB in memory until the test ends, or undefined where it may not be mounted. */
async function smallDisk(t: TestContext): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-lazyfs-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=6m", "tmpfs", directory], { stdio: "pipe" });
  } catch {
    await rm(directory, { recursive: true });
    return undefined;
  }
  t.after(async () => {
    // Lazily: a test that failed may have files open still.
    execFileSync("umount", ["-l", directory]);
    await rm(directory, { recursive: true });
  });
  return directory;
}

test("LayerFetcher serves right bytes from memory while the disk is full, and fills it when there is room", async (t) => {
  const disk = await smallDisk(t);
  if (disk === undefined) {
    t.skip("no right to mount a filesystem");
    return;
  }
  const sample = await fetchSample([halfNoise(1 << 20, 1), halfNoise(2 << 20, 2)]);
  const registry = await serveFaulty(t, [sample]);
  const tuning = { diskRetryMs: 30 };
  await using bench = await openFetchBench(t, [sample], { registry, tuning, root: join(disk, "store") });
  const { fetcher, layers, events } = bench;
  const [layer] = layers;
  assert.ok(layer !== undefined);
  const readAll = async (): Promise<void> => {
    for (let offset = 0; offset < layer.dataSize; offset += 256 << 10) {
      const size = Math.min(256 << 10, layer.dataSize - offset);
      const bytes = await fetcher.read(layer, { offset, size });
      assert.equal(Buffer.compare(bytes, sample.device.subarray(offset, offset + size)), 0, `at ${offset}`);
    }
  };
  const { bavail, bsize } = await statfs(disk);
  const ballast = join(disk, "ballast");
  await writeFile(ballast, new Uint8Array(bavail * bsize - (600 << 10)));
  await readAll();
  assert.ok(!layer.complete);
  assert.ok(events.some(({ kind }) => kind === "disk-full"));
  const filled = layer.filledCount;
  assert.ok(filled > 0, "what fits is kept");
  await rm(ballast);
  await readAll();
  const startMs = performance.now();
  while (layer.filledCount === filled) {
    assert.ok(performance.now() - startMs < 60_000, "writing is not tried again");
    await readAll();
  }
  await fetcher.fill([layer], { priority: "pull" });
  assert.ok(layer.complete);
  await readAll();
});
