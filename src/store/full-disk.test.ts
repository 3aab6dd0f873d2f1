// A disk without room: what is there stays right, and what does not fit is said to.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { equalBytes } from "../bytes/index.ts";
import { openStore } from "./index.ts";
import { sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";

const BLOB = {
  digest: "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
  bytes: new TextEncoder().encode("hello"),
} as const;

/** A filesystem in memory, by default of 3 MiB, or the reason why there is none. */
async function smallDisk(size = "3m"): Promise<(AsyncDisposable & { readonly path: string }) | string> {
  const directory = await scratchDirectory();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", directory.path], { stdio: "pipe" });
  } catch {
    await directory[Symbol.asyncDispose]();
    return "no right to mount a filesystem";
  }
  return {
    path: directory.path,
    [Symbol.asyncDispose]: async () => {
      // Lazily: a test that failed may have files open still.
      execFileSync("umount", ["-l", directory.path]);
      await directory[Symbol.asyncDispose]();
    },
  };
}

test("a full disk is NO_SPACE, costs nothing that is there, and heals when there is room", async (t) => {
  const mounted = await smallDisk();
  if (typeof mounted === "string") {
    t.skip(mounted);
    return;
  }
  await using disk = mounted;
  const root = join(disk.path, "store");
  const options = { clock: new StandingClock(), pid: process.pid };
  const spare = sampleLayer("spare", [{ chunks: [1_000_000] }]);
  const big = sampleLayer("big", [{ chunks: Array.from({ length: 40 }, () => 100_000) }]);
  const stored: number[] = [];
  {
    const store = await openStore(root, options);
    {
      await using handle = await store.createLayer(spare.digest, spare.layer);
      await handle.layer.writeChunk(0, spare.contents[0] ?? new Uint8Array());
    }
    const { layer } = await store.createLayer(big.digest, big.layer);
    const writeAll = async (): Promise<void> => {
      for (const [index, bytes] of big.contents.entries()) await layer.writeChunk(index, bytes);
    };
    await assert.rejects(writeAll(), { code: "NO_SPACE" });
    const before = layer.filledCount;
    assert.ok(before > 5 && before < 25, String(before));
    await assert.rejects(layer.checkpoint(), { code: "NO_SPACE" });
    await assert.rejects(store.content.write(BLOB.digest, BLOB.bytes), { code: "NO_SPACE" });
    assert.deepEqual(await readdir(join(root, "temp")), []);
    assert.equal(layer.filledCount, before);
    // With the room of another layer the rest goes on.
    assert.ok((await store.evict(1)) >= 1_000_000);
    await assert.rejects(writeAll(), { code: "NO_SPACE" });
    assert.ok(layer.filledCount > before);
    for (const [index, bytes] of big.contents.entries()) {
      const found = await layer.readChunk(index);
      if (found === undefined) continue;
      assertSame(found, bytes);
      stored.push(index);
    }
    // The end of the session needs room for one small file.
    await assert.rejects(store.close(), { code: "NO_SPACE" });
  }
  execFileSync("mount", ["-o", "remount,size=6m", disk.path]);
  await using store = await openStore(root, options);
  await using handle = await store.openLayer(big.digest);
  assert.ok(handle !== undefined);
  for (const index of stored) assertSame(await handle.layer.readChunk(index), big.contents[index]);
  for (const [index, bytes] of big.contents.entries()) await handle.layer.writeChunk(index, bytes);
  assert.equal(handle.layer.complete, true);
});

test("a disk that is full already takes an image's metadata, from a reserve, and no data", async (t) => {
  const mounted = await smallDisk("64m");
  if (typeof mounted === "string") {
    t.skip(mounted);
    return;
  }
  await using disk = mounted;
  const root = join(disk.path, "store");
  const filler = join(disk.path, "filler");
  const options = { clock: new StandingClock(), pid: process.pid };
  const sample = sampleLayer("late", [{ chunks: [100_000] }]);
  const [content = new Uint8Array()] = sample.contents;
  await (await openStore(root, options)).close();
  await fill(filler);
  {
    await using store = await openStore(root, options);
    await using handle = await store.createLayer(sample.digest, sample.layer);
    await store.content.write(BLOB.digest, BLOB.bytes);
    const layers = [sample.digest];
    store.setImage({
      name: "r.example/app:1",
      platform: "linux/amd64",
      root: BLOB.digest,
      manifest: BLOB.digest,
      layers,
      content: [],
    });
    store.setLease({ id: "mount", kind: "mount", layers, detail: "" });
    await assert.rejects(handle.layer.writeChunk(0, content), { code: "NO_SPACE" });
    assertSame(await store.content.read(BLOB.digest), BLOB.bytes);
    await rm(filler);
    await handle.layer.writeChunk(0, content);
    assert.equal(handle.layer.complete, true);
  }
  await fill(filler);
  await using store = await openStore(root, options);
  assert.equal(store.images().length, 1);
  store.setLease({ id: "another", kind: "mount", layers: [], detail: "" });
});

test("a disk without room for a note can be tidied up all the same", async (t) => {
  const mounted = await smallDisk("3m");
  if (typeof mounted === "string") {
    t.skip(mounted);
    return;
  }
  await using disk = mounted;
  await using store = await openStore(join(disk.path, "store"), {
    clock: new StandingClock(),
    pid: process.pid,
  });
  const sample = sampleLayer("whole", [{ chunks: Array.from({ length: 10 }, () => 100_000) }]);
  {
    await using handle = await store.createLayer(sample.digest, sample.layer);
    for (const [index, bytes] of sample.contents.entries()) await handle.layer.writeChunk(index, bytes);
  }
  await store.content.write(BLOB.digest, BLOB.bytes);
  const name = "r.example/app:1";
  const image = { platform: "linux/amd64", root: BLOB.digest, manifest: BLOB.digest, content: [] };
  store.setImage({ ...image, name, layers: [sample.digest] });
  await fill(join(disk.path, "filler"));
  assert.throws(() => store.remove(name), { code: "NO_SPACE" });
  assert.equal(await store.withRoom(() => Promise.resolve(store.remove(name))), true);
  const [usage] = (await store.usage()).layers;
  assert.equal(usage?.dataBytes, 0);
  {
    await using handle = await store.openLayer(sample.digest);
    assert.equal(handle?.layer.filledCount, 0);
    await handle?.layer.writeChunk(0, sample.contents[0] ?? new Uint8Array());
  }
  await fill(join(disk.path, "more"));
  assert.deepEqual((await store.prune()).layers, [sample.digest]);
});

/** Takes all room that is left. */
async function fill(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (const size of [1 << 20, 1 << 12]) {
      const piece = new Uint8Array(size);
      await assert.rejects(
        async () => {
          for (;;) await file.appendFile(piece);
        },
        { code: "ENOSPC" },
      );
    }
  } finally {
    await file.close();
  }
}

/** Large arrays, compared without a list of their differences. */
function assertSame(found: Uint8Array | undefined, expected: Uint8Array | undefined): void {
  assert.ok(found !== undefined && expected !== undefined && equalBytes(found, expected));
}
