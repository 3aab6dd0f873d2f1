import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import { type NewLayer, openStore } from "../store/index.ts";
import { presentBytesOf } from "./fill-progress.ts";

const SOURCE = {
  mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
  blobSize: 400,
  compression: "gzip",
  prefetchSize: 0,
  locations: [],
  blobVerified: false,
} as const;
const DIGEST = `sha256:${"a".repeat(64)}` as const;
const OPTIONS = { clock: systemClock, pid: process.pid };

/** Chunks of so many blocks, each in a place of its own. */
function sampleOf(blocks: readonly number[]): {
  readonly chunks: readonly Uint8Array[];
  readonly layer: NewLayer;
} {
  const chunks = blocks.map((count, at) => new Uint8Array(count * 4096).fill(at + 1));
  let place = 0;
  const rows = chunks.map((bytes, at) => {
    const row = { place, size: bytes.length, blobOffset: at * 100, memberSize: 100, innerOffset: 0 };
    place += bytes.length;
    return { ...row, digest: createHash("sha256").update(bytes).digest() };
  });
  return { chunks, layer: { meta: new Uint8Array(4096), source: SOURCE, chunks: { dataSize: place, rows } } };
}

test("presentBytesOf() weighs chunks by their size", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "fill-progress-"));
  t.after(() => rm(directory, { recursive: true }));
  const { chunks, layer: made } = sampleOf([1, 1, 1, 97]);
  await using store = await openStore(join(directory, "store"), OPTIONS);
  await using handle = await store.createLayer(DIGEST, made);
  const { layer } = handle;
  const write = async (index: number): Promise<void> =>
    await layer.writeChunk(index, chunks[index] ?? new Uint8Array());
  assert.equal(presentBytesOf(layer), 0);
  await write(0);
  assert.equal(presentBytesOf(layer), 4);
  await write(3);
  assert.equal(presentBytesOf(layer), 392);
  for (const index of [1, 2]) await write(index);
  assert.equal(presentBytesOf(layer), 400);
});

test("presentBytesOf() counts what a crash has left, before it is verified", async (t) => {
  const directory = await mkdtemp(join(tmpdir(), "fill-progress-"));
  t.after(() => rm(directory, { recursive: true }));
  const { chunks, layer } = sampleOf([1, 1, 1, 1]);
  const left = join(directory, "left");
  {
    await using store = await openStore(join(directory, "store"), OPTIONS);
    await using handle = await store.createLayer(DIGEST, layer);
    for (const index of [0, 2, 3]) await handle.layer.writeChunk(index, chunks[index] ?? new Uint8Array());
    assert.equal(presentBytesOf(handle.layer), 300);
    await store.checkpoint();
    // What a process that is killed now leaves behind.
    execFileSync("cp", ["-a", "--sparse=always", store.root, left]);
  }
  await using store = await openStore(left, OPTIONS);
  await using handle = await store.openLayer(DIGEST);
  assert.ok(handle);
  assert.equal(handle.layer.filledCount, 0);
  assert.equal(presentBytesOf(handle.layer), 300);
});
