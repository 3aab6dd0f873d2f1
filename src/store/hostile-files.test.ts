// Whatever lies in the directory of a store: a value or a typed error, and never a byte that was not verified.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, open, readFile, rename, rm, stat, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { ChunkTable } from "./chunk-table.ts";
import { encodeChunkTable } from "./chunk-table-file.ts";
import { DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { decodeFilled, encodeFilled } from "./filled-file.ts";
import { openStore, type Store, type StoreEvent } from "./index.ts";
import { decodeSource, encodeSource } from "./layer-source.ts";
import { PageCache } from "./page-cache.ts";
import { readSource } from "./read-source.ts";
import { sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";
import { type LayerPaths, layerPaths, StoreLayout } from "./store-layout.ts";

const SAMPLE = sampleLayer("a");
const { rows, dataSize } = SAMPLE.layer.chunks;
const TABLE = encodeChunkTable(SAMPLE.layer.chunks);
const CONTENT = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

interface Closed extends AsyncDisposable {
  readonly root: string;
  readonly paths: LayerPaths;
  readonly events: StoreEvent[];
  open(): Promise<Store>;
}

/** A store with one complete layer, closed cleanly. */
async function closedStore(): Promise<Closed> {
  const directory = await scratchDirectory();
  const [root, events] = [join(directory.path, "store"), [] as StoreEvent[]];
  const closed: Closed = {
    root,
    events,
    paths: layerPaths(new StoreLayout(root).layer(SAMPLE.digest)),
    open: () =>
      openStore(root, {
        clock: new StandingClock(),
        pid: process.pid,
        onEvent: (event) => events.push(event),
      }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
  await using store = await closed.open();
  await using handle = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
  for (const [index, bytes] of SAMPLE.contents.entries()) await handle.layer.writeChunk(index, bytes);
  await store.content.write(CONTENT, new TextEncoder().encode("hello"));
  return closed;
}

async function flip(path: string, offset: number): Promise<void> {
  const byte = (await readFile(path))[offset] ?? 0;
  const file = await open(path, "r+");
  await file.write(Uint8Array.of(byte ^ 0x10), 0, 1, offset);
  await file.close();
}

/** Opens the store, reads the layer in blocks, and returns the chunks that count as missing. */
async function missingIn(closed: Closed): Promise<number[]> {
  await using store = await closed.open();
  await using handle = await store.openLayer(SAMPLE.digest);
  assert.ok(handle !== undefined);
  const { layer } = handle;
  for (let offset = 0; offset < dataSize; offset += 4096) {
    const read = await layer.readRange({ offset, size: 4096 });
    if (read.kind === "data") assert.deepEqual(read.bytes, SAMPLE.device.subarray(offset, offset + 4096));
  }
  assert.equal(layer.complete, (await layer.missingChunks({ first: 0, end: rows.length })).length === 0);
  return await layer.missingChunks({ first: 0, end: rows.length });
}

test("a byte of data that was changed while nobody had the store open is never given", async () => {
  await using closed = await closedStore();
  const [first, second] = rows;
  assert.ok(first !== undefined && second !== undefined);
  await flip(closed.paths.data, second.place + 5000);
  assert.deepEqual(await missingIn(closed), [1]);
  assert.deepEqual(closed.events, [
    { kind: "layer-untrusted", layer: SAMPLE.digest, reason: "touched" },
    { kind: "chunk-rejected", layer: SAMPLE.digest, index: 1 },
  ]);
  // The zeros behind the first file, which is 10 bytes long, belong to its chunk.
  await flip(closed.paths.data, first.size);
  assert.deepEqual(await missingIn(closed), [0, 1]);
});

test("bytes behind a chunk that were changed are not given to those who read nothing else", async () => {
  await using closed = await closedStore();
  const tail = { offset: rows[0]?.size ?? 0, size: 20 };
  await flip(closed.paths.data, tail.offset + 3);
  await using store = await closed.open();
  await using handle = await store.openLayer(SAMPLE.digest);
  assert.ok(handle !== undefined);
  const { layer } = handle;
  assert.deepEqual(await layer.readRange(tail), { kind: "missing", chunks: [0] });
  assert.equal(layer.isFilled(tail), false);
  await layer.writeChunk(0, SAMPLE.contents[0] ?? new Uint8Array(0));
  assert.deepEqual(await layer.readRange(tail), { kind: "data", bytes: new Uint8Array(20) });
});

test("a gap that was written to reads as zeros again", async () => {
  await using closed = await closedStore();
  const gap = rows.findIndex(({ place }, at) => place - (rows[at - 1]?.place ?? 0) > 16_384);
  const before = rows[gap - 1];
  assert.ok(before !== undefined);
  const block = Math.ceil((before.place + before.size) / 4096) * 4096;
  for (const offset of [block, block + 4095, (rows[gap]?.place ?? 0) - 1, dataSize - 1]) {
    await flip(closed.paths.data, offset);
  }
  assert.deepEqual(await missingIn(closed), []);
  assert.deepEqual(new Uint8Array(await readFile(closed.paths.data)), SAMPLE.device);
});

test("times that were set back to the nanosecond do not hide a change", async () => {
  await using closed = await closedStore();
  const before = await stat(closed.paths.data, { bigint: true });
  await flip(closed.paths.data, (rows[1]?.place ?? 0) + 5000);
  const [seconds, rest] = [before.mtimeNs / 1_000_000_000n, before.mtimeNs % 1_000_000_000n];
  execFileSync("touch", ["-d", `@${seconds}.${String(rest).padStart(9, "0")}`, closed.paths.data]);
  assert.equal((await stat(closed.paths.data, { bigint: true })).mtimeNs, before.mtimeNs);
  assert.deepEqual(await missingIn(closed), [1]);
});

test("a data file that is cut, longer, or gone costs chunks and no more", async () => {
  await using closed = await closedStore();
  await truncate(closed.paths.data, 10_000);
  assert.deepEqual(
    await missingIn(closed),
    [...rows.keys()].filter((at) => (rows[at]?.place ?? 0) + 8192 > 10_000 && at > 0),
  );
  await truncate(closed.paths.data, dataSize * 2);
  assert.equal((await missingIn(closed)).includes(0), false);
  await rm(closed.paths.data);
  assert.equal((await missingIn(closed)).length, rows.length);
  assert.equal((await readFile(closed.paths.data)).length, dataSize);
});

test("a damaged bitmap costs a verification and no chunk", async () => {
  await using closed = await closedStore();
  for (const [reason, damage] of [
    ["damaged", () => flip(closed.paths.filled, 12)],
    ["damaged", () => truncate(closed.paths.filled, 3)],
    ["unclean", () => rm(closed.paths.filled)],
    ["damaged", () => writeFile(closed.paths.filled, new Uint8Array(1_000_000))],
  ] as const) {
    await damage();
    assert.deepEqual(await missingIn(closed), []);
    assert.deepEqual(closed.events.splice(0), [{ kind: "layer-untrusted", layer: SAMPLE.digest, reason }]);
  }
});

for (const name of ["meta", "chunks"] as const) {
  test(`a layer with a damaged ${name} is refused and can be made again`, async () => {
    await using closed = await closedStore();
    const path = closed.paths[name];
    const elsewhere = join(closed.root, "elsewhere");
    for (const damage of [
      () => flip(path, 100),
      () => truncate(path, 40),
      () => rm(path),
      () => rm(path).then(() => mkdir(path)),
      () => rm(path).then(() => symlink(elsewhere, path)),
    ]) {
      await damage();
      await using store = await closed.open();
      await assert.rejects(store.openLayer(SAMPLE.digest), { code: "STORE_INVALID" });
      await using handle = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
      assert.equal(handle.layer.filledCount, 0);
    }
  });
}

test("a damaged source is refused; where there is none, what the layer was made with counts", async () => {
  await using closed = await closedStore();
  const { paths } = closed;
  const { source } = SAMPLE.layer;
  const change = async (): Promise<void> => {
    await using store = await closed.open();
    await using handle = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
    await handle.layer.updateSource({ ...source, blobVerified: true });
  };
  const sourceOf = async (): Promise<unknown> => {
    await using store = await closed.open();
    await using handle = await store.openLayer(SAMPLE.digest);
    return handle?.layer.source;
  };
  for (const damage of [
    () => flip(paths.source, 100),
    () => truncate(paths.source, 40),
    () => rm(paths.source).then(() => mkdir(paths.source)),
    () => flip(paths.chunks, TABLE.length + 100).then(() => rm(paths.source)),
    () => truncate(paths.chunks, TABLE.length + 40).then(() => rm(paths.source)),
    () => truncate(paths.chunks, TABLE.length).then(() => rm(paths.source)),
    () => truncate(paths.chunks, TABLE.length + (2 << 20)).then(() => rm(paths.source)),
  ]) {
    await change();
    assert.deepEqual(await sourceOf(), { ...source, blobVerified: true });
    await damage();
    await assert.rejects(sourceOf(), { code: "STORE_INVALID" });
  }
  await change();
  await rm(paths.source);
  assert.deepEqual(await sourceOf(), source);
});

test("a layer is opened whose source is only in a file of its own, as older stores have it", async () => {
  await using closed = await closedStore();
  const { paths } = closed;
  const record = await readSource(paths, DEFAULT_TABLE_LIMITS);
  await truncate(paths.chunks, TABLE.length);
  await writeFile(paths.source, encodeSource(record));
  assert.deepEqual(await missingIn(closed), []);
  assert.deepEqual(closed.events, []);
  assert.deepEqual(await readSource(paths, DEFAULT_TABLE_LIMITS), record);
});

test("a damaged layer that a lease holds is made good, and becomes no other", async () => {
  await using closed = await closedStore();
  const { meta, source } = sampleLayer("b").layer;
  const other = { ...SAMPLE.layer, meta, source };
  for (const path of [closed.paths.meta, closed.paths.chunks]) {
    await flip(path, 100);
    await using store = await closed.open();
    store.setLease({ id: "m", kind: "mount", layers: [SAMPLE.digest], detail: "" });
    await assert.rejects(store.createLayer(SAMPLE.digest, other), { code: "ALREADY_EXISTS" });
    {
      await using stage = await store.stageLayer(SAMPLE.digest);
      await assert.rejects(stage.commit({ meta, source, dataSize: 0 }), { code: "ALREADY_EXISTS" });
    }
    await using handle = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
    assert.deepEqual(new Uint8Array(await readFile(handle.layer.metaPath)), SAMPLE.layer.meta);
  }
  await flip(closed.paths.meta, 100);
  await using store = await closed.open();
  assert.ok(store.removeLease("m"));
  await using handle = await store.createLayer(SAMPLE.digest, other);
  assert.deepEqual(new Uint8Array(await readFile(handle.layer.metaPath)), meta);
});

test("a layer that a lease was taken on while it was open becomes no other, even if all of it is lost", async () => {
  await using closed = await closedStore();
  const { meta, source } = sampleLayer("b").layer;
  const tocDigest: Digest = `sha256:${"7".repeat(64)}`;
  // The second has its files at the same places, and says that they are others.
  const others = [
    { ...SAMPLE.layer, meta, source },
    { ...SAMPLE.layer, source: { ...SAMPLE.layer.source, tocDigest } },
  ];
  const lease = { id: "m", kind: "mount", layers: [SAMPLE.digest] };
  {
    await using store = await closed.open();
    await using _handle = await store.openLayer(SAMPLE.digest);
    store.setLease({ ...lease, detail: "" });
  }
  for (const lose of [
    () => flip(closed.paths.chunks, TABLE.length + 100),
    () => rm(closed.paths.directory, { recursive: true }),
  ]) {
    await lose();
    await using store = await closed.open();
    store.setLease({ ...lease, detail: "again" });
    for (const other of others)
      await assert.rejects(store.createLayer(SAMPLE.digest, other), { code: "ALREADY_EXISTS" });
    await using handle = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
    assert.deepEqual(new Uint8Array(await readFile(handle.layer.metaPath)), SAMPLE.layer.meta);
    assert.deepEqual(handle.layer.source, SAMPLE.layer.source);
  }
});

test("metadata that is changed while a layer is open is noticed by whoever asks for it next, and is made good", async () => {
  await using closed = await closedStore();
  await using store = await closed.open();
  await using handle = await store.openLayer(SAMPLE.digest);
  assert.ok(handle !== undefined);
  const before = await readFile(closed.paths.meta);
  const { ino } = await stat(closed.paths.meta);
  await flip(closed.paths.meta, 100);
  await assert.rejects(store.openLayer(SAMPLE.digest), { code: "STORE_INVALID" });
  const other = { ...SAMPLE.layer, meta: new Uint8Array(4096) };
  await assert.rejects(store.createLayer(SAMPLE.digest, other), { code: "ALREADY_EXISTS" });
  await using again = await store.createLayer(SAMPLE.digest, SAMPLE.layer);
  assert.equal(again.layer, handle.layer);
  assert.equal(again.layer.filledCount, rows.length);
  assert.deepEqual(await readFile(closed.paths.meta), before);
  // What somebody has mapped or mounted is not changed under him.
  assert.notEqual((await stat(closed.paths.meta)).ino, ino);
  await using third = await store.openLayer(SAMPLE.digest);
  assert.equal(third?.layer, handle.layer);
});

test("metadata of a layer that was staged whole is made good, while the layer is open, by staging it again", async () => {
  const directory = await scratchDirectory();
  await using _directory = directory;
  await using store = await openStore(join(directory.path, "store"), {
    clock: new StandingClock(),
    pid: process.pid,
  });
  const source = { ...SAMPLE.layer.source, blobVerified: true };
  const stageAgain = async (): Promise<void> => {
    await using stage = await store.stageLayer(SAMPLE.digest);
    for (const [at, bytes] of SAMPLE.contents.entries()) await stage.write(rows[at]?.place ?? 0, bytes);
    await stage.commit({ meta: SAMPLE.layer.meta, dataSize, source });
  };
  await stageAgain();
  await using handle = await store.openLayer(SAMPLE.digest);
  assert.ok(handle !== undefined);
  await flip(handle.layer.metaPath, 100);
  await assert.rejects(store.openLayer(SAMPLE.digest), { code: "STORE_INVALID" });
  await stageAgain();
  await using again = await store.openLayer(SAMPLE.digest);
  assert.equal(again?.layer, handle.layer);
  assert.deepEqual(new Uint8Array(await readFile(handle.layer.metaPath)), SAMPLE.layer.meta);
});

test("metadata that was changed while a layer was open is not believed after a clean end", async () => {
  await using closed = await closedStore();
  {
    await using store = await closed.open();
    await using handle = await store.openLayer(SAMPLE.digest);
    await handle?.layer.scrub();
    await flip(closed.paths.meta, 100);
  }
  await using store = await closed.open();
  await assert.rejects(store.openLayer(SAMPLE.digest), { code: "STORE_INVALID" });
});

test("a data file that is a link or a directory is refused", async () => {
  await using closed = await closedStore();
  const target = join(closed.root, "target");
  await writeFile(target, "keep");
  await rm(closed.paths.data);
  await symlink(target, closed.paths.data);
  await using store = await closed.open();
  await assert.rejects(store.openLayer(SAMPLE.digest), (error) => isEsgzError(error));
  await rm(closed.paths.data);
  await mkdir(closed.paths.data);
  await assert.rejects(store.openLayer(SAMPLE.digest), (error) => isEsgzError(error));
  assert.equal(await readFile(target, "utf8"), "keep");
});

test("names in the store that mean nothing are left alone", async () => {
  await using closed = await closedStore();
  await mkdir(join(closed.root, "layers", "sha256-zz"));
  await writeFile(join(closed.root, "layers", "notes"), "mine");
  await writeFile(join(closed.root, "content", "notes"), "mine");
  await writeFile(join(closed.root, "content", "sha256", "notes"), "mine");
  await using store = await closed.open();
  assert.deepEqual(await store.layers(), [SAMPLE.digest]);
  assert.deepEqual(await store.content.list(), [{ digest: CONTENT, size: 5 }]);
  await store.prune();
  assert.equal(await readFile(join(closed.root, "layers", "notes"), "utf8"), "mine");
});

test("a small blob that was changed is none", async () => {
  await using closed = await closedStore();
  await flip(join(closed.root, "content", "sha256", CONTENT.slice(7)), 2);
  await using store = await closed.open();
  assert.equal(await store.content.read(CONTENT), undefined);
  assert.deepEqual(await store.content.list(), []);
  assert.deepEqual(closed.events, [{ kind: "content-rejected", digest: CONTENT }]);
});

test("a store of another version, or with a damaged database, is refused and stays unlocked", async () => {
  await using closed = await closedStore();
  await writeFile(join(closed.root, "format"), "esgz store 2\n");
  await assert.rejects(closed.open(), {
    code: "STORE_INVALID",
    message: /got "esgz store 2\\n" in ".*\/format"/,
  });
  await writeFile(join(closed.root, "format"), "esgz store 1\n");
  const database = join(closed.root, "metadata.db");
  const sound = await readFile(database);
  await writeFile(database, "not a database, but a text of more than a hundred bytes".repeat(4));
  const toldWhatHelps = {
    code: "STORE_INVALID",
    message: /metadata\.db": expected a sound one, got .*moved away/,
  };
  await assert.rejects(closed.open(), toldWhatHelps);
  // A page of a table, behind a sound beginning.
  const spoiled = Buffer.from(sound).fill(0xa5, 4096, 8192);
  await writeFile(database, spoiled);
  await assert.rejects(closed.open(), toldWhatHelps);
  {
    await rename(database, `${database}.bad`);
    for (const name of ["-wal", "-shm"]) await rm(`${database}${name}`, { force: true });
    await using store = await closed.open();
    assert.deepEqual(await store.layers(), [SAMPLE.digest]);
    await using handle = await store.openLayer(SAMPLE.digest);
    assert.ok(handle?.layer.complete);
  }
  await writeFile(database, sound);
  await using store = await closed.open();
  assert.deepEqual(await store.layers(), [SAMPLE.digest]);
});

test("scrub() finds a byte that changed while the store was open", async () => {
  await using closed = await closedStore();
  await using store = await closed.open();
  await using handle = await store.openLayer(SAMPLE.digest);
  assert.ok(handle !== undefined);
  await flip(closed.paths.data, (rows[2]?.place ?? 0) + 1);
  assert.deepEqual(await handle.layer.scrub(), { kept: rows.length - 1, dropped: 1 });
  assert.deepEqual(await handle.layer.missingChunks({ first: 0, end: rows.length }), [2]);
  assert.deepEqual(closed.events, [{ kind: "chunk-rejected", layer: SAMPLE.digest, index: 2 }]);
});

test("every flipped byte of a chunk table, a bitmap and a source is noticed", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const table = encodeChunkTable(SAMPLE.layer.chunks);
  const openTable = (): ChunkTable =>
    ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(4) });
  for (let at = 0; at < table.length; at += 1) {
    await writeFile(path, table.with(at, (table[at] ?? 0) ^ 0x80));
    assert.throws(openTable, { code: "STORE_INVALID" }, `byte ${at}`);
  }
  const print = { inode: 1n, size: 2n, modifiedNs: 3n, changedNs: -4n };
  const record = { count: 12, bitmap: Uint8Array.of(0xaa, 0x0f), clean: { data: print, meta: print } };
  const filled = encodeFilled(record);
  assert.deepEqual(decodeFilled(filled, 12), record);
  assert.equal(decodeFilled(filled, 13), undefined);
  for (let at = 0; at < filled.length; at += 1) {
    assert.equal(decodeFilled(filled.with(at, (filled[at] ?? 0) ^ 1), 12), undefined, `byte ${at}`);
  }
  const source = encodeSource({ source: SAMPLE.layer.source, metaDigest: SAMPLE.digest });
  assert.deepEqual(decodeSource(source), { source: SAMPLE.layer.source, metaDigest: SAMPLE.digest });
  for (let at = 0; at < source.length; at += 1) {
    assert.throws(() => decodeSource(source.with(at, (source[at] ?? 0) ^ 1)), { code: "STORE_INVALID" });
  }
});

test("any bytes as a chunk table, a bitmap or a source give a value or STORE_INVALID", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const table = encodeChunkTable(SAMPLE.layer.chunks);
  const foreign = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    // A true beginning, so that what comes behind it is looked at.
    fc.tuple(fc.nat(table.length), fc.uint8Array({ maxLength: 80 })).map(([at, bytes]) => {
      return Uint8Array.from([...table.subarray(0, at), ...bytes, ...table.subarray(at + bytes.length)]);
    }),
  );
  await fc.assert(
    fc.asyncProperty(foreign, async (bytes) => {
      await writeFile(path, bytes);
      try {
        using found = ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(4) });
        assert.ok(found.count <= 8_000_000);
      } catch (error) {
        assert.ok(isEsgzError(error, "STORE_INVALID"));
      }
      decodeFilled(bytes, 3);
      assert.throws(() => decodeSource(bytes), { code: "STORE_INVALID" });
    }),
    { numRuns: 200, endOnFailure: true },
  );
});

test("a table that asks for more than the limits is refused before memory is taken", async () => {
  const limits = { maxChunks: 4, maxChunkSize: 100, maxDataSize: 8192 };
  const digest = new Uint8Array(32);
  const row = (place: number, size: number) =>
    ({ place, size, blobOffset: 0, memberSize: 0, innerOffset: 0, digest }) as const;
  const sound = [row(0, 100), row(100, 50), row(4096, 1)];
  assert.equal(encodeChunkTable({ dataSize: 8192, rows: sound }, limits).length, 64 + 3 * 64);
  for (const list of [
    { dataSize: 8192, rows: Array.from({ length: 5 }, (_, at) => row(at, 1)) },
    { dataSize: 8192, rows: [row(0, 101)] },
    { dataSize: 8192, rows: [row(0, 0)] },
    { dataSize: 8192, rows: [row(0, 50), row(49, 1)] },
    { dataSize: 8192, rows: [row(8190, 3)] },
    { dataSize: 8192, rows: [row(-1, 3)] },
    { dataSize: 8192, rows: [{ ...row(0, 3), blobOffset: 2 ** 53 }] },
    { dataSize: 8192, rows: [{ ...row(0, 3), digest: new Uint8Array(31) }] },
    { dataSize: 8191, rows: [] },
    { dataSize: 12_288, rows: [] },
  ]) {
    assert.throws(() => encodeChunkTable(list, limits), { code: "STORE_INVALID" }, JSON.stringify(list));
  }
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const header = encodeChunkTable({ dataSize: 0, rows: [] });
  new DataView(header.buffer).setBigUint64(16, 8_000_001n, true);
  await writeFile(path, header);
  assert.throws(() => ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(4) }), {
    code: "STORE_INVALID",
    message: /at most 8000000 chunks/,
  });
});
