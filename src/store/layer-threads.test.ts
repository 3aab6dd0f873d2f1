// A layer under many hands: other threads, and calls that overlap.
import assert from "node:assert/strict";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import type { ChunkWriterData, ChunkWriterRequest } from "./chunk-writer.fixture.ts";
import { isRangeReady, openStore, writeChunkSync } from "./index.ts";
import { sampleBytes, sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";

const OPTIONS = { clock: new StandingClock(), pid: process.pid };

test("another thread writes chunks that it verifies, and reads blocks that are ready", async () => {
  await using directory = await scratchDirectory();
  await using store = await openStore(join(directory.path, "store"), OPTIONS);
  const sample = sampleLayer("a");
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  const workerData: ChunkWriterData = { dataPath: layer.dataPath, ready: layer.readyBlocks.bytes };
  const worker = new Worker(new URL("chunk-writer.fixture.ts", import.meta.url), { workerData });
  const ask = async (request: ChunkWriterRequest): Promise<unknown> => {
    worker.postMessage(request);
    const [answer] = (await once(worker, "message")) as [unknown];
    return answer;
  };
  try {
    // Chunks 1 to 3 are one file of 16,484 bytes at 4096.
    const file = { kind: "read", offset: 4096, size: 5 * 4096 } as const;
    for (const index of [1, 2, 3]) {
      assert.equal(await ask(file), undefined);
      const [slot, bytes] = [layer.slot(index), sample.contents[index] ?? new Uint8Array()];
      assert.equal(
        await ask({ kind: "write", slot, bytes: sampleBytes("wrong", bytes.length) }),
        "DIGEST_MISMATCH",
      );
      await layer.beginWriting(bytes.length);
      assert.equal(await ask({ kind: "write", slot, bytes }), "written");
      layer.acceptChunk(index);
    }
    assert.deepEqual(await ask(file), sample.device.slice(4096, 6 * 4096));
  } finally {
    await worker.terminate();
  }
  assert.deepEqual(await layer.missingChunks({ first: 0, end: 5 }), [0, 4]);
});

test("writes, reads and checkpoints that overlap give the right bytes", async () => {
  await using directory = await scratchDirectory();
  const files = Array.from({ length: 100 }, (_, at) => ({ chunks: [3000, 500 + at * 10, 7] }));
  const sample = sampleLayer("a", files);
  {
    await using store = await openStore(join(directory.path, "store"), {
      ...OPTIONS,
      checkpointBytes: 50_000,
    });
    const handles = await Promise.all([1, 2, 3].map(() => store.createLayer(sample.digest, sample.layer)));
    const work = handles.flatMap(({ layer }) =>
      sample.contents.map(async (bytes, index) => {
        await layer.writeChunk(index, bytes);
        assert.deepEqual(await layer.readChunk(index), bytes);
        if (index % 50 === 0) await layer.checkpoint();
      }),
    );
    await Promise.all(work);
    for (const handle of handles) await handle.close();
  }
  await using store = await openStore(join(directory.path, "store"), OPTIONS);
  await using handle = await store.openLayer(sample.digest);
  assert.equal(handle?.layer.complete, true);
  const read = await handle.layer.readRange({ offset: 0, size: handle.layer.dataSize });
  assert.deepEqual(read, { kind: "data", bytes: sample.device });
});

test("a store that is closed ends what is under way first", async () => {
  await using directory = await scratchDirectory();
  const root = join(directory.path, "store");
  const sample = sampleLayer("a");
  {
    const store = await openStore(root, OPTIONS);
    const { layer } = await store.createLayer(sample.digest, sample.layer);
    const writes = sample.contents.map((bytes, index) => layer.writeChunk(index, bytes));
    await store.close();
    await Promise.all(writes);
    await assert.rejects(layer.readChunk(0));
  }
  await using store = await openStore(root, { ...OPTIONS, verification: "every-session" });
  assert.deepEqual(await store.reverify(), { kept: sample.contents.length, dropped: 0, damaged: [] });
});

test("a copy of a chunk that was changed under the store does not count", async () => {
  await using directory = await scratchDirectory();
  await using store = await openStore(join(directory.path, "store"), OPTIONS);
  const [old, next] = [sampleLayer("old", undefined, "same"), sampleLayer("next", undefined, "same")];
  await using source = await store.createLayer(old.digest, old.layer);
  await using target = await store.createLayer(next.digest, next.layer);
  await source.layer.writeChunk(1, old.contents[1] ?? new Uint8Array());
  const file = await open(source.layer.dataPath, "r+");
  await file.write(Uint8Array.of(1, 2, 3), 0, 3, 4096);
  await file.close();
  assert.deepEqual(await store.copyKnownChunks(target.layer), { chunks: 0, bytes: 0 });
  assert.equal(await target.layer.readChunk(1), undefined);
});

test("a wrong copy over a chunk that another thread has just written does not count either", async () => {
  await using directory = await scratchDirectory();
  await using store = await openStore(join(directory.path, "store"), OPTIONS);
  const [old, next] = [sampleLayer("old", undefined, "same"), sampleLayer("next", undefined, "same")];
  await using source = await store.createLayer(old.digest, old.layer);
  await using target = await store.createLayer(next.digest, next.layer);
  const { layer } = target;
  const [, bytes = new Uint8Array()] = next.contents;
  await source.layer.writeChunk(1, bytes);
  const file = await open(source.layer.dataPath, "r+");
  await file.write(Uint8Array.of(1, 2, 3), 0, 3, 4096);
  await file.close();
  await using data = await open(layer.dataPath, "r+");
  const write = async (): Promise<void> => {
    await layer.beginWriting(bytes.length);
    writeChunkSync(data.fd, layer.slot(1), bytes);
  };
  await write();
  assert.equal(await layer.copyChunk(1, { layer: source.layer, index: 1 }), false);
  layer.acceptChunk(1);
  // Where the kernel could not copy, nothing was written over it.
  const read = await layer.readChunk(1);
  if (read !== undefined) assert.deepEqual(read, bytes);
  await write();
  layer.acceptChunk(1);
  assert.deepEqual(await layer.readChunk(1), bytes);
});

test("isRangeReady() looks at every block of a range", () => {
  const blocks = Uint8Array.of(0b1110, 0b1);
  const ask = (offset: number, size: number): boolean => isRangeReady(blocks, { offset, size });
  assert.equal(ask(4096, 3 * 4096), true);
  assert.equal(ask(4095, 2), false);
  assert.equal(ask(4 * 4096 - 1, 2), false);
  assert.equal(ask(8 * 4096 + 5, 4091), true);
  assert.equal(ask(8 * 4096 + 5, 4092), false);
  assert.equal(ask(16 * 4096, 1), false);
});
