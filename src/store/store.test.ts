import assert from "node:assert/strict";
import { readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { systemClock } from "../async/index.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import {
  type Layer,
  type NewLayer,
  openStore,
  type Store,
  type StoreEvent,
  type StoreOptions,
  encodeChunkTable,
} from "./index.ts";
import { sampleBytes, sampleLayer, scratchDirectory, type SampleLayer } from "./sample-layer.fixture.ts";

const PLATFORM = "linux/amd64";

interface Scratch extends AsyncDisposable {
  readonly root: string;
  readonly clock: StandingClock;
  readonly events: StoreEvent[];
  open(options?: Partial<StoreOptions>): Promise<Store>;
}

async function scratch(): Promise<Scratch> {
  const directory = await scratchDirectory();
  const [clock, events] = [new StandingClock(), [] as StoreEvent[]];
  const root = join(directory.path, "store");
  return {
    root,
    clock,
    events,
    open: (options) =>
      openStore(root, { clock, pid: process.pid, onEvent: (e) => events.push(e), ...options }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

async function fill(layer: Layer, sample: SampleLayer, indexes = [...sample.contents.keys()]): Promise<void> {
  for (const index of indexes) await layer.writeChunk(index, sample.contents[index] ?? new Uint8Array());
}

async function readAll(layer: Layer): Promise<Uint8Array | undefined> {
  const read = await layer.readRange({ offset: 0, size: layer.dataSize });
  return read.kind === "data" ? read.bytes : undefined;
}

async function useLayer<T>(
  store: Store,
  sample: SampleLayer,
  work: (layer: Layer) => Promise<T>,
): Promise<T> {
  await using handle = await store.openLayer(sample.digest);
  assert.ok(handle !== undefined);
  return await work(handle.layer);
}

async function addLayer(store: Store, sample: SampleLayer, indexes?: number[]): Promise<void> {
  await using handle = await store.createLayer(sample.digest, sample.layer);
  await fill(handle.layer, sample, indexes);
}

test("a layer is filled in any order and read as its data device", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("a");
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  assert.equal(layer.complete, false);
  const order = [...sample.contents.keys()].reverse();
  for (const index of order) {
    assert.equal(layer.hasChunk(index), false);
    await fill(layer, sample, [index]);
    assert.equal(layer.hasChunk(index), true);
  }
  assert.equal(layer.complete, true);
  assert.deepEqual(await readAll(layer), sample.device);
  assert.deepEqual(new Uint8Array(await readFile(layer.dataPath)), sample.device);
  assert.deepEqual(new Uint8Array(await readFile(layer.metaPath)), sample.layer.meta);
  assert.equal(layer.readyBlocks.count, layer.dataSize / 4096);
});

test("a layer's chunk table may be encoded elsewhere, and is checked all the same", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("a");
  const table = encodeChunkTable(sample.layer.chunks);
  {
    await using handle = await store.createLayer(sample.digest, { ...sample.layer, chunks: { table } });
    await fill(handle.layer, sample);
    assert.deepEqual(await readAll(handle.layer), sample.device);
  }
  const other = sampleLayer("b");
  const changed = Uint8Array.from(encodeChunkTable(other.layer.chunks));
  changed[64] = 1;
  for (const bad of [table.subarray(0, -1), new Uint8Array(64), new Uint8Array(0), changed]) {
    const layer = { ...other.layer, chunks: { table: bad } };
    await assert.rejects(store.createLayer(other.digest, layer), { code: "STORE_INVALID" });
    assert.equal(await store.openLayer(other.digest).catch(() => undefined), undefined);
  }
});

test("readRange() names the chunks that are missing", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("a");
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  // Chunk 1 is the first of the second file: 8192 bytes at 4096; chunk 2 follows it.
  assert.deepEqual(await layer.readRange({ offset: 12_287, size: 2 }), { kind: "missing", chunks: [1, 2] });
  await fill(layer, sample, [1]);
  assert.deepEqual(await layer.readRange({ offset: 12_287, size: 2 }), { kind: "missing", chunks: [2] });
  assert.equal(layer.isFilled({ offset: 4096, size: 8192 }), true);
  assert.equal(layer.isFilled({ offset: 4096, size: 8193 }), false);
  assert.deepEqual(await layer.readRange({ offset: 4096, size: 10 }), {
    kind: "data",
    bytes: sample.contents[1]?.subarray(0, 10),
  });
  assert.deepEqual(await layer.readChunk(1), sample.contents[1]);
  assert.equal(await layer.readChunk(2), undefined);
  await assert.rejects(layer.readRange({ offset: layer.dataSize, size: 1 }), { code: "RANGE_INVALID" });
});

test("ready blocks are those whose bytes are all there", async () => {
  await using place = await scratch();
  await using store = await place.open();
  // One file in chunks of 3000 bytes (blocks 0 to 2), a gap of two blocks, one file of one block, the last block.
  const sample = sampleLayer("a", [{ chunks: [3000, 3000, 3000] }, { chunks: [4096], gapBlocks: 2 }]);
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  const ready = (): number[] => Array.from({ length: 7 }, (_, at) => Number(layer.readyBlocks.has(at)));
  assert.deepEqual(ready(), [0, 0, 0, 1, 1, 0, 1]);
  await fill(layer, sample, [0]);
  assert.deepEqual(ready(), [0, 0, 0, 1, 1, 0, 1]);
  await fill(layer, sample, [1]);
  assert.deepEqual(ready(), [1, 0, 0, 1, 1, 0, 1]);
  await fill(layer, sample, [2]);
  assert.deepEqual(ready(), [1, 1, 1, 1, 1, 0, 1]);
  await fill(layer, sample, [3]);
  assert.deepEqual(ready(), [1, 1, 1, 1, 1, 1, 1]);
});

test("writeChunk() refuses bytes that are not the chunk, and writes none of them", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("a");
  await using handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  const wrong = Uint8Array.from(sample.contents[1] ?? []);
  wrong[77] = (wrong[77] ?? 0) ^ 1;
  await assert.rejects(layer.writeChunk(1, wrong), { code: "DIGEST_MISMATCH" });
  await assert.rejects(layer.writeChunk(1, wrong.subarray(1)), { code: "SIZE_MISMATCH" });
  await assert.rejects(layer.writeChunk(99, wrong), { code: "STORE_INVALID" });
  assert.equal(layer.filledCount, 0);
  assert.deepEqual(new Uint8Array(await readFile(layer.dataPath)), new Uint8Array(layer.dataSize));
});

test("a layer survives a clean end without being verified again", async () => {
  await using place = await scratch();
  const sample = sampleLayer("a");
  {
    await using store = await place.open();
    await addLayer(store, sample, [0, 2, 5]);
  }
  await using store = await place.open();
  await useLayer(store, sample, async (layer) => {
    assert.equal(layer.unverifiedCount, 0);
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5].map((at) => layer.hasChunk(at)),
      [true, false, true, false, false, true],
    );
    await fill(layer, sample);
    assert.deepEqual(await readAll(layer), sample.device);
  });
  await useLayer(store, sample, async (layer) => {
    assert.equal(layer.complete, true);
    assert.deepEqual(await readAll(layer), sample.device);
  });
  assert.deepEqual(place.events, []);
});

test("with every-session verification nothing from an earlier session is believed", async () => {
  await using place = await scratch();
  const sample = sampleLayer("a");
  {
    await using store = await place.open();
    await addLayer(store, sample);
  }
  await using store = await place.open({ verification: "every-session" });
  await useLayer(store, sample, async (layer) => {
    assert.equal(layer.filledCount, 0);
    assert.deepEqual(await layer.reverify(), { kept: sample.contents.length, dropped: 0 });
    assert.equal(layer.complete, true);
  });
});

test("one layer is one object for all who open it", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("a");
  const [first, second] = await Promise.all([
    store.createLayer(sample.digest, sample.layer),
    store.createLayer(sample.digest, sample.layer),
  ]);
  assert.equal(first.layer, second.layer);
  await first.close();
  await first.close();
  await fill(second.layer, sample, [0]);
  await second.close();
  assert.equal(await store.openLayer(sampleLayer("none").digest), undefined);
  assert.deepEqual(await store.layers(), [sample.digest]);
});

test("another opening is refused with the pid of the holder, until the store is closed", async () => {
  await using place = await scratch();
  await using store = await place.open({ pid: 4242 });
  await assert.rejects(
    place.open(),
    (error) =>
      isEsgzError(error, "STORE_INVALID") && error.details["pid"] === 4242 && /4242/.test(error.message),
  );
  await store.close();
  await store.close();
  await using again = await place.open();
  await assert.rejects(store.openLayer(sampleLayer("a").digest), { code: "STORE_INVALID" });
  assert.deepEqual(await again.layers(), []);
});

test("opening a store ends where no directories can be made", async () => {
  const opening = openStore("/proc/esgz-nothing/store", { clock: systemClock, pid: process.pid });
  await assert.rejects(opening, { code: "IO_FAILED", message: /a filesystem that takes no directories/ });
});

test("chunks that another layer has are copied, not fetched", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const old = sampleLayer("old", undefined, "same");
  await addLayer(store, old, [0, 1, 2, 4, 5]);
  const files = [{ chunks: [10] }, { chunks: [8192, 8192, 100], gapBlocks: 5 }, { chunks: [6000, 5000] }];
  const next = sampleLayer("next", files, "same");
  await using handle = await store.createLayer(next.digest, next.layer);
  // Chunks 0 to 3 and 5 are the same; the old layer has no chunk 3; 4 differs in size.
  assert.deepEqual(await store.copyKnownChunks(handle.layer), { chunks: 4, bytes: 10 + 8192 + 8192 + 5000 });
  assert.deepEqual(await handle.layer.missingChunks({ first: 0, end: 6 }), [3, 4]);
  await fill(handle.layer, next, [3, 4]);
  assert.deepEqual(await readAll(handle.layer), next.device);
  assert.equal(place.events.filter(({ kind }) => kind === "chunk-copied").length, 4);
});

test("a search for chunks that failed once is done again", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const [old, next] = [sampleLayer("old", undefined, "same"), sampleLayer("next", undefined, "same")];
  await addLayer(store, old);
  await using handle = await store.createLayer(next.digest, next.layer);
  const layers = join(place.root, "layers");
  await rename(layers, `${layers}.away`);
  await assert.rejects(store.copyKnownChunks(handle.layer), { code: "IO_FAILED" });
  await rename(`${layers}.away`, layers);
  const { chunks } = await store.copyKnownChunks(handle.layer);
  assert.equal(chunks, next.contents.length);
  assert.equal(handle.layer.complete, true);
});

test("chunks are found in layers that were made after the first search, and in the layer itself", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const twins = sampleLayer("twins", [{ chunks: [5000] }, { chunks: [5000] }]);
  const [row] = twins.layer.chunks.rows;
  assert.ok(row !== undefined);
  const rows = twins.layer.chunks.rows.map((other) => ({ ...other, digest: row.digest }));
  const layer = { ...twins.layer, chunks: { ...twins.layer.chunks, rows } };
  const empty = sampleLayer("empty");
  await using first = await store.createLayer(empty.digest, empty.layer);
  assert.deepEqual(await store.copyKnownChunks(first.layer), { chunks: 0, bytes: 0 });
  await using handle = await store.createLayer(twins.digest, layer);
  await handle.layer.writeChunk(0, twins.contents[0] ?? new Uint8Array());
  assert.deepEqual(await store.copyKnownChunks(handle.layer), { chunks: 1, bytes: 5000 });
  assert.deepEqual(await handle.layer.readChunk(1), twins.contents[0]);
});

test("a layer that is streamed whole appears complete, or not at all", async () => {
  await using place = await scratch();
  const sample = sampleLayer("streamed");
  const { meta, source, chunks } = sample.layer;
  {
    await using store = await place.open();
    {
      await using abandoned = await store.stageLayer(sample.digest);
      await abandoned.write(0, sampleBytes("x", 100));
    }
    assert.deepEqual(await store.layers(), []);
    await using stage = await store.stageLayer(sample.digest);
    for (const [at, row] of chunks.rows.entries())
      await stage.write(row.place, sample.contents[at] ?? new Uint8Array());
    await stage.commit({ meta, source, dataSize: chunks.dataSize });
    assert.deepEqual(await readdir(join(place.root, "temp")), []);
  }
  await using store = await place.open();
  await useLayer(store, sample, async (layer) => {
    assert.equal(layer.complete, true);
    assert.deepEqual(await readAll(layer), sample.device);
  });
  assert.deepEqual(place.events, []);
});

test("content is kept by its digest and verified when it is read", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const bytes = new TextEncoder().encode("hello");
  const digest = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  assert.equal(await store.content.read(digest), undefined);
  await assert.rejects(store.content.write(digest, bytes.subarray(1)), { code: "DIGEST_MISMATCH" });
  await store.content.write(digest, bytes);
  await store.content.write(digest, bytes);
  assert.deepEqual(new Uint8Array((await store.content.read(digest)) ?? []), bytes);
  assert.deepEqual(await store.content.list(), [{ digest, size: 5 }]);
});

test("images, leases and times of use survive; prune() takes what nothing needs", async () => {
  await using place = await scratch();
  const [a, b, c] = [sampleLayer("a"), sampleLayer("b"), sampleLayer("c")];
  const config = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
  const manifest = sampleLayer("manifest").digest;
  const image = { name: "registry.example/app:1", platform: PLATFORM, root: manifest, manifest };
  {
    await using store = await place.open();
    for (const sample of [a, b, c]) await addLayer(store, sample);
    await store.content.write(config, new TextEncoder().encode("hello"));
    store.setImage({ ...image, layers: [a.digest, b.digest], content: [config] });
    store.setLease({ id: "m1", kind: "mount", layers: [b.digest], detail: '{"at":"/mnt"}' });
    store.setLease({
      id: "brief",
      kind: "pull",
      layers: [c.digest],
      detail: "",
      expiresMs: place.clock.now + 10,
    });
  }
  await using store = await place.open();
  assert.deepEqual(store.images(), [
    { ...image, layers: [a.digest, b.digest], content: [config], updatedMs: 1_700_000_000_000 },
  ]);
  assert.deepEqual((await store.prune()).layers, []);
  place.clock.now += 10;
  assert.deepEqual(store.leases(), [
    { id: "m1", kind: "mount", layers: [b.digest], detail: '{"at":"/mnt"}' },
  ]);
  assert.deepEqual((await store.prune()).layers, [c.digest]);
  assert.equal(store.remove("registry.example/other:1"), false);
  assert.equal(store.remove(image.name, { platform: "linux/arm64" }), false);
  assert.equal(store.remove(image.name), true);
  const report = await store.prune();
  assert.deepEqual([report.layers, report.content], [[a.digest], [config]]);
  assert.ok(report.bytes > a.device.length / 2);
  assert.deepEqual(await store.layers(), [b.digest]);
  assert.equal(store.removeLease("m1"), true);
  assert.deepEqual((await store.prune()).layers, [b.digest]);
  const usage = await store.usage();
  assert.deepEqual(usage, { layers: [], contentBytes: 0 });
});

test("evict() gives up what was used least recently, and never what is pinned", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const samples = ["oldest", "leased", "named", "newest"].map((name) => sampleLayer(name));
  const [oldest, leased, named, newest] = samples;
  assert.ok(oldest !== undefined && leased !== undefined && named !== undefined && newest !== undefined);
  for (const sample of samples) {
    await addLayer(store, sample);
    place.clock.now += 1000;
  }
  store.setLease({ id: "m", kind: "mount", layers: [leased.digest], detail: "" });
  const manifest = sampleLayer("manifest").digest;
  store.setImage({
    name: "n",
    platform: PLATFORM,
    root: manifest,
    manifest,
    layers: [named.digest],
    content: [],
  });
  assert.ok((await store.evict(1)) >= 100_000);
  assert.equal(await store.openLayer(oldest.digest), undefined);
  await using held = await store.openLayer(newest.digest);
  assert.ok(held !== undefined);
  await store.evict(1e12);
  assert.deepEqual(new Set(await store.layers()), new Set([leased.digest, named.digest, newest.digest]));
  await useLayer(store, leased, async (layer) => assert.deepEqual(await readAll(layer), leased.device));
  await useLayer(store, newest, async (layer) => assert.deepEqual(await readAll(layer), newest.device));
  // The image's layer has lost its data, not its metadata.
  await useLayer(store, named, async (layer) => {
    assert.equal(layer.filledCount, 0);
    assert.equal((await stat(layer.dataPath)).blocks, 0);
    await fill(layer, named);
    assert.deepEqual(await readAll(layer), named.device);
  });
});

test("evict() leaves a layer that was leased while it took others", async () => {
  await using place = await scratch();
  const samples = ["first", "dropped", "emptied"].map((name) => sampleLayer(name));
  const [first, dropped, emptied] = samples;
  assert.ok(first !== undefined && dropped !== undefined && emptied !== undefined);
  const lease = { id: "m", kind: "mount", layers: [dropped.digest, emptied.digest], detail: "" };
  const taken: unknown[] = [];
  await using store = await place.open({
    onEvent(event) {
      if (event.kind !== "layer-evicted") return;
      taken.push(event.layer);
      store.setLease(lease);
    },
  });
  for (const sample of samples) {
    await addLayer(store, sample);
    place.clock.now += 1000;
  }
  const manifest = sampleLayer("manifest").digest;
  const image = { name: "n", platform: PLATFORM, root: manifest, manifest, content: [] };
  store.setImage({ ...image, layers: [emptied.digest] });
  await store.evict(1e12);
  assert.deepEqual(taken, [first.digest]);
  await useLayer(store, dropped, async (layer) => assert.deepEqual(await readAll(layer), dropped.device));
  await useLayer(store, emptied, async (layer) => assert.deepEqual(await readAll(layer), emptied.device));
});

test("a quota evicts, and then refuses with NO_SPACE", async () => {
  await using place = await scratch();
  // A sample takes about 130 kB of data and 20 kB of other files.
  await using store = await place.open({ quotaBytes: 400_000 });
  const [a, b, c] = [sampleLayer("a"), sampleLayer("b"), sampleLayer("c")];
  await addLayer(store, a);
  place.clock.now += 1;
  await addLayer(store, b);
  place.clock.now += 1;
  await addLayer(store, c);
  assert.equal(await store.openLayer(a.digest), undefined);
  for (const { digest } of [b, c])
    store.setLease({ id: digest, kind: "mount", layers: [digest], detail: "" });
  const big = sampleLayer("big", [{ chunks: [60_000, 60_000, 60_000] }]);
  await using handle = await store.createLayer(big.digest, big.layer);
  await assert.rejects(fill(handle.layer, big), { code: "NO_SPACE" });
  assert.equal(await handle.layer.readChunk(2), undefined);
  {
    // Where nothing can go, metadata comes all the same: what it describes is served from memory.
    const more = Array.from({ length: 8 }, (_, at) => sampleLayer(`more ${at}`));
    await using handles = new AsyncDisposableStack();
    for (const { digest, layer } of more) handles.use(await store.createLayer(digest, layer));
    for (const { digest } of more) assert.ok(await store.layers().then((all) => all.includes(digest)));
  }
  store.removeLease(b.digest);
  await fill(handle.layer, big);
  assert.deepEqual(await readAll(handle.layer), big.device);
});

test("writers side by side never pass the quota, nor do layers in the making", async () => {
  await using place = await scratch();
  const quotaBytes = 490_000;
  await using store = await place.open({ quotaBytes });
  const taken = async (): Promise<number> =>
    (await store.usage()).layers.reduce((sum, layer) => sum + layer.dataBytes + layer.recordBytes, 0);
  const big = sampleLayer("big", [{ chunks: Array.from({ length: 40 }, () => 40_960) }]);
  {
    await using handle = await store.createLayer(big.digest, big.layer);
    const { layer } = handle;
    const writes = big.contents.map((bytes, index) => layer.writeChunk(index, bytes));
    const outcomes = await Promise.allSettled(writes);
    const written = outcomes.filter(({ status }) => status === "fulfilled").length;
    assert.equal(written, layer.filledCount);
    // As many as fit: nobody is refused for what others have been granted and have written by now.
    assert.equal(written, 11);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") assert.equal(outcome.reason.code, "NO_SPACE");
    assert.ok((await taken()) <= quotaBytes);
  }
  await using stage = await store.stageLayer(sampleLayer("staged").digest);
  await stage.write(0, new Uint8Array(300_000));
  // The other layer has gone for it; this one can not.
  assert.equal((await taken()) < 200_000, true);
  await assert.rejects(stage.write(303_104, new Uint8Array(300_000)), { code: "NO_SPACE" });
  await stage.close();
  await using next = await store.stageLayer(sampleLayer("next").digest);
  await next.write(0, new Uint8Array(400_000));
});

test("a full store makes a damaged layer again, and evicts no layer that is being closed", async () => {
  await using place = await scratch();
  const quotaBytes = 480_000;
  const full = sampleLayer("full", [{ chunks: Array.from({ length: 11 }, () => 40_960) }]);
  {
    await using store = await place.open({ quotaBytes });
    {
      await using handle = await store.createLayer(full.digest, full.layer);
      await fill(handle.layer, full);
    }
    await writeFile(join(place.root, "layers", full.digest.replace(":", "-"), "meta"), "spoiled");
    // Room is made while the layer's turn is taken: what would go for it is the layer itself.
    await using again = await store.createLayer(full.digest, full.layer);
    assert.equal(again.layer.filledCount, 0);
  }
  const big = sampleLayer("big", [{ chunks: Array.from({ length: 30 }, () => 40_960) }]);
  const written = new Set<number>();
  {
    await using store = await place.open({ quotaBytes });
    const { layer } = await store.createLayer(big.digest, big.layer);
    const writes = big.contents.map(async (bytes, index) => {
      await layer.writeChunk(index, bytes).then(
        () => written.add(index),
        (error: unknown) => assert.ok(isEsgzError(error, "NO_SPACE")),
      );
    });
    // Before any of them has ended.
    await store.close();
    await Promise.all(writes);
  }
  assert.ok(written.size > 0 && written.size < 30);
  await using store = await place.open({ quotaBytes });
  await useLayer(store, big, async (layer) => {
    assert.equal(layer.filledCount, written.size);
    return Promise.resolve();
  });
});

test("a stage that is closed while it waits for room gives that back", async () => {
  await using place = await scratch();
  await using store = await place.open({ quotaBytes: 1_000_000 });
  const stage = await store.stageLayer(sampleLayer("a").digest);
  const late = stage.admit(900_000);
  await Promise.all([stage.close(), assert.rejects(late, { code: "INTERNAL" })]);
  await using next = await store.stageLayer(sampleLayer("b").digest);
  await next.admit(900_000);
});

test("the source of a layer can change", async () => {
  await using place = await scratch();
  const sample = sampleLayer("a");
  {
    await using store = await place.open();
    await using handle = await store.createLayer(sample.digest, sample.layer, { durable: false });
    const { layer } = handle;
    await layer.updateSource({ ...layer.source, blobVerified: true, tocDigest: sample.digest });
  }
  await using store = await place.open();
  await using handle = await store.openLayer(sample.digest, { tocDigest: sample.digest });
  assert.deepEqual(handle?.layer.source, {
    ...sample.layer.source,
    blobVerified: true,
    tocDigest: sample.digest,
  });
});

test("a layer from one TOC is not given to those who trust another", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const [ours, theirs] = [sampleLayer("our toc").digest, sampleLayer("their toc").digest];
  // Both say that they describe the blob with this digest.
  const { digest, layer } = sampleLayer("a");
  const withToc = (tocDigest: Digest | undefined): NewLayer => ({
    ...layer,
    source: { ...layer.source, tocDigest },
  });
  const planted = await store.createLayer(digest, withToc(theirs));
  await assert.rejects(store.createLayer(digest, withToc(ours)), { code: "ALREADY_EXISTS" });
  await planted.close();
  assert.equal(await store.openLayer(digest, { tocDigest: ours }), undefined);
  assert.equal(await store.openLayer(digest), undefined);
  store.setLease({ id: "m", kind: "mount", layers: [digest], detail: "" });
  await assert.rejects(store.createLayer(digest, withToc(ours)), { code: "ALREADY_EXISTS" });
  {
    await using held = await store.openLayer(digest, { tocDigest: "any" });
    assert.equal(held?.layer.source.tocDigest, theirs);
  }
  store.removeLease("m");
  {
    await using made = await store.createLayer(digest, withToc(ours));
    assert.equal(made.layer.source.tocDigest, ours);
  }
  assert.equal(await store.openLayer(digest, { tocDigest: theirs }), undefined);
  // What was made from the whole blob is good for all.
  const { meta, source, chunks } = layer;
  await using stage = await store.stageLayer(digest);
  for (const [at, row] of chunks.rows.entries())
    await stage.write(row.place, sampleLayer("a").contents[at] ?? new Uint8Array());
  await stage.commit({ meta, source: { ...source, blobVerified: true }, dataSize: chunks.dataSize });
  for (const tocDigest of [undefined, ours, theirs]) {
    await using handle = await store.openLayer(digest, { tocDigest });
    assert.equal(handle?.layer.complete, true);
  }
});

test("openStore() opens a store at a path of 492 bytes, and says what is wrong with a longer one", async () => {
  await using directory = await scratchDirectory();
  const rootOf = (bytes: number): string => {
    const missing = bytes - directory.path.length;
    const name = "d".repeat(Math.floor(missing / 3) - 1);
    const path = join(directory.path, name, name);
    return join(path, "d".repeat(bytes - path.length - 1));
  };
  const options = { clock: systemClock, pid: process.pid };
  assert.equal(rootOf(492).length, 492);
  await using store = await openStore(rootOf(492), options);
  store.setLease({ id: "lease", kind: "test", layers: [], detail: "" });
  await assert.rejects(openStore(rootOf(493), options), {
    code: "STORE_INVALID",
    message: /^Cannot open store database: expected a path of at most 504 bytes, got 505 bytes: "/,
  });
});

test("what is no digest leads out of no store, and into no lease", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const outside = "sha256:../../../outside" as Digest;
  const sample = sampleLayer("inside", [{ chunks: [10] }]);
  const invalid = { code: "DIGEST_INVALID" };
  await assert.rejects(store.createLayer(outside, sample.layer), invalid);
  await assert.rejects(store.openLayer(outside), invalid);
  await assert.rejects(store.content.read(outside), invalid);
  const lease = { id: "lease", kind: "test", layers: [outside], detail: "" };
  assert.throws(() => store.setLease(lease), invalid);
  const image = { name: "r.example/app:1", platform: PLATFORM, root: outside, manifest: outside };
  assert.throws(() => store.setImage({ ...image, layers: [], content: [] }), invalid);
  assert.deepEqual([store.leases(), store.images()], [[], []]);
});

test("a layer refuses what is no index, and everything once its handle is closed", async () => {
  await using place = await scratch();
  await using store = await place.open();
  const sample = sampleLayer("misused", [{ chunks: [5000, 5000] }]);
  const handle = await store.createLayer(sample.digest, sample.layer);
  const { layer } = handle;
  for (const index of [-1, 2, 0.5, Number.NaN]) {
    assert.throws(() => layer.chunk(index), { code: "STORE_INVALID" });
    assert.throws(() => layer.acceptChunk(index), { code: "STORE_INVALID" });
  }
  assert.equal(layer.filledCount, 0);
  await handle.close();
  await handle.close();
  await assert.rejects(layer.readRange({ offset: 0, size: 5 }), { code: "STORE_INVALID" });
  await assert.rejects(layer.writeChunk(0, sample.contents[0] ?? new Uint8Array()), {
    code: "STORE_INVALID",
  });
});
