import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  type AskedRange,
  type FetchBench,
  type FetchSample,
  fetchSample,
  halfNoise,
  openFetchBench,
  serveFaulty,
} from "./fetch.fixture.ts";
import { settle } from "./settle.fixture.ts";

const KIB = 1024;
const MIB = KIB * KIB;

/** A file of 3 MiB between small ones, in chunks of 64 KiB. */
const SAMPLE = await fetchSample([
  halfNoise(10, 1),
  halfNoise(3 * MIB, 2),
  ...Array.from({ length: 40 }, (_, at) => halfNoise(5000 + at * 777, at + 3)),
  halfNoise(700 * KIB, 99),
]);

function firstOf<T>(values: readonly T[]): T {
  const [value] = values;
  assert.ok(value !== undefined);
  return value;
}

function bytesAt({ device }: FetchSample, offset: number, size: number): Uint8Array {
  return device.subarray(offset, offset + size);
}

async function assertReads(
  bench: FetchBench,
  sample: FetchSample,
  { offset, size }: AskedRange,
): Promise<void> {
  const bytes = await bench.fetcher.read(firstOf(bench.layers), { offset, size });
  assert.deepEqual(Buffer.compare(bytes, bytesAt(sample, offset, size)), 0, `${size} bytes at ${offset}`);
}

/** No byte was asked for twice. */
function assertOnce(asked: readonly AskedRange[]): void {
  const sorted = asked.toSorted((a, b) => a.offset - b.offset);
  for (const [at, { offset, size }] of sorted.entries()) {
    const next = sorted[at + 1];
    assert.ok(
      next === undefined || next.offset >= offset + size,
      `${size} at ${offset} overlap ${next?.offset}`,
    );
  }
}

/** A read takes no other way than to wait for what is on its way to it, however long that takes on a slow machine. */
const JOINING = { joinMs: 60_000 } as const;
/** What a machine that stands still for a moment does not look like. */
const STALL_MS = 1500;

describe("LayerFetcher.read()", () => {
  test("brings what is missing, verified, and answers from the store afterwards", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    await assertReads(bench, SAMPLE, { offset: 4096, size: 100 });
    const requests = registry.asked.length;
    assert.equal(requests, 1);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 8192 });
    assert.equal(registry.asked.length, requests, "neighbours came along");
    const { demandReads, demandBytes, stalls } = bench.fetcher.statistics();
    assert.deepEqual({ demandReads, demandBytes, stalls }, { demandReads: 2, demandBytes: 8292, stalls: 1 });
  });

  test("asks once for what many readers want at the same time", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const reads = Array.from({ length: 20 }, async (_, at) => {
      await assertReads(bench, SAMPLE, { offset: 100 * KIB + at * 3000, size: 5000 });
    });
    await Promise.all(reads);
    assertOnce(registry.asked);
    assert.deepEqual(bench.opened.length, 1);
  });

  test("asks for no byte twice, whatever was read before and while the rest is filled", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    // Nothing is taken along: what was read lies about in small pieces.
    const tuning = { readAheadMin: 0, readAheadMax: 0, ...JOINING };
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning });
    const layer = firstOf(bench.layers);
    const read = async (part: number): Promise<void> =>
      await assertReads(bench, SAMPLE, { offset: ((part * 7919) % 40) * 100 * KIB, size: 1000 });
    for (let part = 0; part < 20; part += 1) await read(part);
    assertOnce(registry.asked);
    const fill = bench.fetcher.fill([layer], { priority: "background" });
    for (let part = 20; part < 40; part += 1) await read(part);
    await fill;
    assert.ok(layer.complete);
    assertOnce(registry.asked);
  });

  test("reads ahead of a reader who goes on in order, ever further", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: JOINING });
    for (let offset = 0; offset < SAMPLE.device.length; offset += 64 * KIB) {
      const size = Math.min(64 * KIB, SAMPLE.device.length - offset);
      await assertReads(bench, SAMPLE, { offset, size });
    }
    assertOnce(registry.asked);
    assert.ok(registry.asked.length < 12, `${registry.asked.length} requests for 4 MiB`);
    assert.ok(firstOf(bench.layers).complete);
    const { stalls, prefetchedBytes, prefetchUsedBytes } = bench.fetcher.statistics();
    assert.ok(stalls < 20, `${stalls} stalls`);
    assert.equal(prefetchUsedBytes, prefetchedBytes);
  });

  test("follows a reader through marks, without a read of its own", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const layer = firstOf(bench.layers);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 4096 });
    const marks = bench.fetcher.marksOf(layer);
    const mark = marks[0] ?? -1;
    assert.deepEqual([...marks.subarray(1)], [-1, -1, -1, -1, -1, -1, -1]);
    assert.equal(mark, 2);
    bench.fetcher.noteHit(layer, mark * 4096);
    assert.ok((marks[0] ?? -1) > mark);
    await settle(() => layer.isFilled({ offset: 4096, size: 300 * KIB }));
    assertOnce(registry.asked);
  });

  test("fails at once when a chunk is wrong twice, and heals when it is right", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const layer = firstOf(bench.layers);
    const row = layer.chunk(5);
    registry.faultOf = () => ({ kind: "flip", blobOffset: row.blobOffset + 200 });
    await assert.rejects(bench.fetcher.read(layer, { offset: row.place, size: 10 }), {
      code: "DIGEST_MISMATCH",
    });
    assert.equal(layer.hasChunk(5), false);
    assert.equal(bench.fetcher.statistics().verificationFailures, 2);
    const event = bench.events.find(({ kind }) => kind === "verification-failed");
    assert.ok(event?.kind === "verification-failed");
    assert.deepEqual([event.chunk, event.place, event.fromDisk], [5, row.place, false]);
    registry.faultOf = () => undefined;
    await assertReads(bench, SAMPLE, { offset: row.place, size: row.size });
  });

  test("fetches a wrong chunk once more, from a blob opened anew", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const { place, blobOffset } = firstOf(bench.layers).chunk(5);
    registry.faultOf = (_, number) =>
      number === 1 ? { kind: "flip", blobOffset: blobOffset + 200 } : undefined;
    await assertReads(bench, SAMPLE, { offset: place, size: 1000 });
    assert.equal(bench.opened.length, 2);
    assert.equal(bench.fetcher.statistics().verificationFailures, 1);
  });

  test("goes on at the byte where a connection broke", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    registry.faultOf = (_, number) => (number < 4 ? { kind: "short", after: 10_000 } : undefined);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 200_000 });
    const [first, second, third] = registry.asked;
    assert.equal(second?.offset, (first?.offset ?? 0) + 10_000);
    assert.equal(third?.offset, (first?.offset ?? 0) + 20_000);
    assert.equal(bench.opened.length, 4);
    assert.equal(bench.fetcher.statistics().fetchedBytes, first?.size);
  });

  test("fails after the deadline while the registry is down, and heals when it is back", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    const tuning = { demandDeadlineMs: 5000 };
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning });
    const layer = firstOf(bench.layers);
    registry.faultOf = () => ({ kind: "status", status: 503 });
    const reading = bench.fetcher.read(layer, { offset: 0, size: 10 });
    reading.catch(() => undefined);
    await settle(() => bench.fetcher.layerStatistics(layer.digest).waiting.length === 1);
    await assert.rejects(reading, { code: "TIMED_OUT" });
    assert.ok(bench.events.some((event) => event.kind === "fetch-failed" && event.willRetry));
    assert.deepEqual(bench.fetcher.layerStatistics(layer.digest).waiting, []);
    registry.faultOf = () => undefined;
    await assertReads(bench, SAMPLE, { offset: 0, size: 10 });
  });

  test("opens the blob anew where the registry says no, and gives up after some tries", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    registry.faultOf = (_, number) => (number === 1 ? { kind: "status", status: 403 } : undefined);
    await assertReads(bench, SAMPLE, { offset: 0, size: 10 });
    assert.ok(bench.opened.length >= 2);
    registry.faultOf = () => ({ kind: "status", status: 404 });
    await assert.rejects(bench.fetcher.read(firstOf(bench.layers), { offset: 2 * MIB, size: 10 }), {
      code: "REGISTRY_NOT_FOUND",
    });
  });

  test("serves from memory while the store has no room", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, store: { quotaBytes: 300_000 } });
    for (const offset of [0, 1 * MIB, 2 * MIB, 3 * MIB]) {
      await assertReads(bench, SAMPLE, { offset: offset + 100, size: 150_000 });
    }
    assert.equal(bench.events.filter(({ kind }) => kind === "disk-full").length, 1);
    const sent = registry.sentBytes;
    await assertReads(bench, SAMPLE, { offset: 3 * MIB + 100, size: 150_000 });
    assert.equal(registry.sentBytes, sent, "what is in memory is not fetched again");
    await assert.rejects(bench.fetcher.fill(bench.layers, { priority: "background" }), {
      code: "NO_SPACE",
      message:
        /^Cannot write \d+ bytes to store: expected layers within the quota of 300000 bytes, got \d+ bytes that are in use or being brought$/,
    });
  });

  test("ends with its signal, and without harm to others who wait", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const held = Promise.withResolvers<void>();
    registry.faultOf = () => ({ kind: "hold", after: 0, until: held.promise });
    const controller = new AbortController();
    const layer = firstOf(bench.layers);
    const reading = bench.fetcher.read(layer, { offset: 0, size: 10 }, { signal: controller.signal });
    const other = assertReads(bench, SAMPLE, { offset: 0, size: 10 });
    await settle(() => registry.asked.length === 1);
    controller.abort(new Error("enough"));
    await assert.rejects(reading, { message: "enough" });
    held.resolve();
    await other;
    assert.equal(registry.asked.length, 1);
  });

  test("asks a second time beside a connection that stands still", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: { stallMs: STALL_MS } });
    const never = new Promise(() => undefined);
    registry.faultOf = (_, number) =>
      number === 1 ? { kind: "hold", after: 5000, until: never } : undefined;
    await assertReads(bench, SAMPLE, { offset: 4096, size: 200_000 });
    const [first, second] = registry.asked;
    assert.equal(second?.offset, (first?.offset ?? 0) + 5000);
    assert.ok(bench.events.some(({ kind }) => kind === "hedged"));
    // Of an answer that a busy machine holds up, more than once.
    assert.ok(bench.fetcher.statistics().hedged >= 1);
  });

  test("asks a second time beside a connection that crawls", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: { stallMs: STALL_MS } });
    registry.faultOf = (_, number) => (number === 1 ? { kind: "crawl", after: 5000, pauseMs: 5 } : undefined);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 200_000 });
    // Of an answer that a busy machine holds up, more than once.
    assert.ok(bench.fetcher.statistics().hedged >= 1);
  });

  test("asks again and again while all connections stand still", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: { stallMs: 50 } });
    const never = new Promise(() => undefined);
    registry.faultOf = (_, number) => (number <= 3 ? { kind: "hold", after: 0, until: never } : undefined);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 200_000 });
    assert.ok(registry.asked.length >= 4);
  });

  test("leaves no threads behind when nothing is asked for", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: { workerIdleMs: 20 } });
    await assertReads(bench, SAMPLE, { offset: 0, size: 10 });
    await settle(() => bench.fetcher.statistics().workers === 0);
    await assertReads(bench, SAMPLE, { offset: 2 * MIB, size: 10 });
  });

  test("rejects what waits when the layer is released", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const held = Promise.withResolvers<void>();
    registry.faultOf = () => ({ kind: "hold", after: 100, until: held.promise });
    const layer = firstOf(bench.layers);
    const reading = assert.rejects(bench.fetcher.read(layer, { offset: 0, size: 10 }), { code: "ABORTED" });
    await settle(() => registry.asked.length === 1);
    await bench.fetcher.release(layer);
    await reading;
    held.resolve();
    assert.equal(bench.fetcher.statistics().queueLengths.transfers, 0);
  });
});

describe("LayerFetcher.fill()", () => {
  for (const priority of ["pull", "background"] as const) {
    test(`brings everything that is missing, once (${priority})`, async (t) => {
      const registry = await serveFaulty(t, [SAMPLE]);
      await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning: { rangeSize: 512 * KIB } });
      await assertReads(bench, SAMPLE, { offset: 2 * MIB, size: 10 });
      const before = registry.asked.reduce((sum, { size }) => sum + size, 0);
      const report = await bench.fetcher.fill(bench.layers, { priority });
      const layer = firstOf(bench.layers);
      assert.ok(layer.complete);
      assertOnce(registry.asked);
      const all = registry.asked.reduce((sum, { size }) => sum + size, 0);
      assert.equal(report.fetchedBytes, all - before);
      assert.ok(all < SAMPLE.blob.length, "the index does not travel again");
      assert.equal(report.requests, registry.asked.length - 1);
      assert.ok(report.presentBytes > 0);
      await assertReads(bench, SAMPLE, { offset: 0, size: SAMPLE.device.length });
    });
  }

  test("copies chunks that another layer has", async (t) => {
    const other = await fetchSample([halfNoise(3 * MIB, 2), halfNoise(50_000, 500)]);
    const registry = await serveFaulty(t, [SAMPLE, other]);
    await using bench = await openFetchBench(t, [SAMPLE, other], { registry });
    const [first, second] = bench.layers;
    assert.ok(first !== undefined && second !== undefined);
    await bench.fetcher.fill([first], { priority: "pull" });
    const report = await bench.fetcher.fill([second], { priority: "pull" });
    assert.equal(report.copiedBytes, 3 * MIB);
    assert.ok(report.fetchedBytes < 60_000);
    assert.equal(bench.fetcher.statistics().copiedChunks, 48);
    const bytes = await bench.fetcher.read(second, { offset: 0, size: other.device.length });
    assert.equal(Buffer.compare(bytes, other.device), 0);
  });

  test("of a pull ends with the first failure; the background brings the rest first", async (t) => {
    for (const priority of ["pull", "background"] as const) {
      const registry = await serveFaulty(t, [SAMPLE]);
      await using bench = await openFetchBench(t, [SAMPLE], { registry });
      const layer = firstOf(bench.layers);
      registry.faultOf = () => ({ kind: "flip", blobOffset: layer.chunk(5).blobOffset + 200 });
      await assert.rejects(bench.fetcher.fill([layer], { priority }), { code: "DIGEST_MISMATCH" });
      assert.equal(layer.hasChunk(5), false);
      if (priority === "background") assert.equal(layer.filledCount, layer.chunkCount - 1);
    }
  });

  test("lets a read go first that wants what it has not reached", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    const tuning = { backgroundConnections: 1, minRangeSize: MIB, joinMs: 0, yieldMs: 60_000 };
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning });
    const held = Promise.withResolvers<void>();
    registry.faultOf = (_, number) =>
      number === 1 ? { kind: "hold", after: 50_000, until: held.promise } : undefined;
    const filling = bench.fetcher.fill(bench.layers, { priority: "background" });
    await settle(() => bench.fetcher.statistics().fetchedBytes >= 50_000);
    // Far into the range that stands still.
    await assertReads(bench, SAMPLE, { offset: 2 * MIB, size: 1000 });
    held.resolve();
    await filling;
    assert.ok(firstOf(bench.layers).complete);
  });

  test("has a read join what is about to arrive", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    const tuning = { backgroundConnections: 1, yieldMs: 60_000, ...JOINING };
    await using bench = await openFetchBench(t, [SAMPLE], { registry, tuning });
    const filling = bench.fetcher.fill(bench.layers, { priority: "background" });
    await settle(() => bench.fetcher.statistics().requests === 1);
    await assertReads(bench, SAMPLE, { offset: 4096, size: 1000 });
    await filling;
    assertOnce(registry.asked);
  });

  test("tells how far it is", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    const seen: number[] = [];
    const report = await bench.fetcher.fill(bench.layers, {
      priority: "pull",
      onProgress: ({ fetchedBytes, totalBytes }) => {
        assert.ok(fetchedBytes <= totalBytes);
        seen.push(fetchedBytes);
      },
    });
    assert.equal(seen.at(-1), report.fetchedBytes);
  });

  test("ends with its signal and leaves the layer as it is", async (t) => {
    const registry = await serveFaulty(t, [SAMPLE]);
    await using bench = await openFetchBench(t, [SAMPLE], { registry });
    registry.faultOf = () => ({ kind: "hold", after: 1000, until: new Promise(() => undefined) });
    const controller = new AbortController();
    const filling = bench.fetcher.fill(bench.layers, { priority: "pull", signal: controller.signal });
    await settle(() => registry.asked.length > 0);
    controller.abort(new Error("enough"));
    await assert.rejects(filling, { message: "enough" });
    registry.faultOf = () => undefined;
    await assertReads(bench, SAMPLE, { offset: 0, size: 10_000 });
  });
});

describe("LayerFetcher.prefetch()", () => {
  test("brings the start of the blob with one request", async (t) => {
    const sample = await fetchSample([halfNoise(MIB, 7), halfNoise(MIB, 8)], { prefetchSize: 400_000 });
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry });
    const layer = firstOf(bench.layers);
    const report = await bench.fetcher.prefetch(layer);
    assert.equal(registry.asked.length, 1);
    assert.equal(report.bytes, registry.asked[0]?.size);
    assert.equal(report.chunks, layer.filledCount);
    assert.ok(layer.chunk(layer.filledCount).blobOffset >= 400_000);
    assert.deepEqual(await bench.fetcher.prefetch(layer), { bytes: 0, chunks: 0 });
    await assertReads(bench, sample, { offset: 0, size: 64 * KIB });
    assert.equal(bench.fetcher.statistics().prefetchUsedBytes, 64 * KIB);
  });

  test("brings a long start in pieces, each byte once", async (t) => {
    const sample = await fetchSample([halfNoise(25 * MIB, 9), halfNoise(MIB, 8)], {
      chunkSize: MIB,
      prefetchSize: 1 << 30,
    });
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry });
    const layer = firstOf(bench.layers);
    const report = await bench.fetcher.prefetch(layer);
    assert.ok(layer.complete);
    assert.equal(registry.asked.length, 4);
    assertOnce(registry.asked);
    const bytes = registry.asked.reduce((sum, { size }) => sum + size, 0);
    assert.deepEqual(report, { bytes, chunks: layer.chunkCount });
  });
});
