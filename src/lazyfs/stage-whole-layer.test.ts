import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { MemoryBlob } from "../blob/index.ts";
import { concatBytes } from "../bytes/index.ts";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import type { Layer } from "../image/index.ts";
import { type LayerCompression, layerMediaType } from "../oci/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { PLATFORM, plainOf, serveImage, sha256, temporaryStore } from "./image.fixture.ts";
import { prepareImage } from "./prepare-image.ts";
import { StageThreads } from "./stage-threads.ts";
import { stageWholeLayer } from "./stage-whole-layer.ts";

const LARGE = new Uint8Array(9 << 20).map((_, at) => (at * 2654435761) >>> 24);
const TAR = tarOf([
  { name: "bin/" },
  { name: "bin/large", content: LARGE },
  { name: "bin/link", type: "hardlink", linkName: "bin/large" },
  { name: "etc/motd", content: "hello\n" },
  { name: "etc/.wh.gone" },
]);

function layerOf(blob: Uint8Array, compression: LayerCompression): Layer {
  const descriptor = {
    mediaType: layerMediaType("oci", compression),
    digest: sha256(blob),
    size: blob.length,
  };
  return { index: 0, descriptor, diffId: sha256(TAR), compression, blob: new MemoryBlob(blob) };
}

for (const [name, blob, compression] of [
  ["gzip", gzipSync(TAR, { level: 1 }), "gzip"],
  ["gzip with foreign bytes behind it", concatBytes([gzipSync(TAR), new Uint8Array(70_000).fill(7)]), "gzip"],
  ["zstd", zstdCompressSync(TAR), "zstd"],
  ["no compression", TAR, "uncompressed"],
] as const) {
  test(`stageWholeLayer() makes a complete layer of ${name}`, async (t) => {
    const store = await temporaryStore(t);
    await using handle = await stageWholeLayer(layerOf(blob, compression), { store });
    const { layer } = handle;
    assert.equal(layer.complete, true);
    const reader = new ErofsReader(await readFile(layer.metaPath));
    assert.deepEqual(
      Array.from(walkErofs(reader), ({ path }) => path),
      ["", "bin", "etc", "bin/large", "bin/link", "etc/gone", "etc/motd"],
    );
    const nid = reader.findPath("bin/large") ?? 0;
    assert.equal(reader.findPath("bin/link"), nid);
    const [run] = reader.runs(nid);
    assert.equal(run?.kind, "device");
    const read = await layer.readRange({ offset: 0, size: LARGE.length });
    assert.equal(read.kind === "data" && Buffer.compare(read.bytes, LARGE), 0);
    assert.equal((await layer.scrub()).dropped, 0);
  });
}

const PLAIN = gzipSync(TAR, { level: 1 });
const DAMAGED = PLAIN.map((byte, at) => (at === PLAIN.length >> 1 ? byte ^ 1 : byte));

for (const [name, layer, codes] of [
  [
    "whose bytes are damaged",
    { ...layerOf(PLAIN, "gzip"), blob: new MemoryBlob(DAMAGED) },
    /COMPRESSION|DIGEST|TAR/,
  ],
  ["whose digest is another", { ...layerOf(PLAIN, "gzip"), diffId: sha256(PLAIN) }, /^DIGEST_MISMATCH$/],
  [
    "that ends early",
    { ...layerOf(PLAIN, "gzip"), blob: new MemoryBlob(PLAIN.subarray(0, 99)) },
    /COMPRESSION|SIZE/,
  ],
  ["that is no tar", layerOf(new Uint8Array(2048).fill(65), "uncompressed"), /^TAR_INVALID$/],
] as const) {
  test(`stageWholeLayer() leaves nothing of a layer ${name}`, async (t) => {
    const store = await temporaryStore(t);
    await assert.rejects(stageWholeLayer(layer, { store }), { code: codes });
    assert.deepEqual(await store.layers(), []);
    assert.deepEqual(await readdir(join(store.root, "temp")), []);
  });
}

test("stageWholeLayer() leaves nothing when it is aborted", async (t) => {
  const store = await temporaryStore(t);
  const stop = new AbortController();
  const onProgress = (): void => stop.abort(new Error("enough"));
  const layer = layerOf(TAR, "uncompressed");
  await assert.rejects(stageWholeLayer(layer, { store, onProgress, signal: stop.signal }), /enough/);
  assert.deepEqual(await store.layers(), []);
  assert.deepEqual(await readdir(join(store.root, "temp")), []);
});

test("stageWholeLayer() refuses a layer beyond the quota, and leaves nothing", async (t) => {
  const store = await temporaryStore(t, { quotaBytes: 1 << 20 });
  await assert.rejects(stageWholeLayer(layerOf(TAR, "uncompressed"), { store }), { code: "NO_SPACE" });
  assert.deepEqual(await readdir(join(store.root, "temp")), []);
});

/** Counts the threads that this process starts. */
function countThreads(t: TestContext): () => number {
  let started = 0;
  const count = (): void => void (started += 1);
  process.on("worker", count);
  t.after(() => process.off("worker", count));
  return () => started;
}

test("stageWholeLayer() has one thread stage one layer after the other", async (t) => {
  const started = countThreads(t);
  const store = await temporaryStore(t);
  await using stageThreads = new StageThreads();
  const trailing = concatBytes([gzipSync(TAR), new Uint8Array(70_000).fill(7)]);
  for (const [blob, compression] of [
    [TAR, "uncompressed"],
    [trailing, "gzip"],
    [zstdCompressSync(TAR), "zstd"],
  ] as const) {
    await using handle = await stageWholeLayer(layerOf(blob, compression), { store, stageThreads });
    const read = await handle.layer.readRange({ offset: 0, size: LARGE.length });
    assert.equal(read.kind === "data" && Buffer.compare(read.bytes, LARGE), 0);
    assert.equal((await handle.layer.scrub()).dropped, 0);
  }
  assert.equal(started(), 1);
});

test("stageWholeLayer() stages nothing with a thread that has failed at a layer", async (t) => {
  const started = countThreads(t);
  const store = await temporaryStore(t);
  await using stageThreads = new StageThreads();
  const damaged = { ...layerOf(PLAIN, "gzip"), blob: new MemoryBlob(DAMAGED) };
  await assert.rejects(stageWholeLayer(damaged, { store, stageThreads }));
  await using handle = await stageWholeLayer(layerOf(PLAIN, "gzip"), { store, stageThreads });
  assert.equal((await handle.layer.scrub()).dropped, 0);
  assert.equal(started(), 2);
});

test("prepareImage() starts no more threads than it reads layers at once", async (t) => {
  const layers = Array.from({ length: 6 }, (_, at) => plainOf(tarOf([{ name: `${at}`, content: `${at}` }])));
  const served = await serveImage(t, layers);
  const store = await temporaryStore(t);
  const started = countThreads(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "when-needed" } as const;
  await using image = await prepareImage(served.source, { ...options, jobs: 1 });
  assert.equal(image.layers.length, 6);
  assert.equal(started(), 1);
});
