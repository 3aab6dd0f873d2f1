import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { type Clock, systemClock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Layer } from "../store/index.ts";
import { fetchSample, halfNoise, openFetchBench, serveFaulty } from "./fetch.fixture.ts";
import { settle } from "./settle.fixture.ts";

const KIB = 1024;
const MIB = KIB * KIB;

/** No link is fast or slow, so that what is read ahead does not depend on how busy this machine is. */
const UNMEASURED: Clock = { ...systemClock, nowMs: () => 0 };

/** The chunks that are there. */
function presentOf(layer: Layer): readonly number[] {
  return Array.from({ length: layer.chunkCount }, (_, chunk) => chunk).filter((chunk) =>
    layer.hasChunk(chunk),
  );
}

/** Waits until so many chunks are there, which nobody else waits for. */
async function untilPresent(layer: Layer, count: number): Promise<void> {
  const complaint = (): string => `there are only chunks ${presentOf(layer).join(", ")}`;
  await settle(() => presentOf(layer).length >= count, complaint);
}

describe("LayerFetcher reads ahead", () => {
  test("behind what is there already, as far as a read takes along, and not farther", async (t) => {
    const sample = await fetchSample([halfNoise(2 * MIB, 1)]);
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry, clock: UNMEASURED });
    const [layer] = bench.layers;
    assert.ok(layer !== undefined);
    for (const chunk of [1, 3, 4])
      await bench.fetcher.ensure(layer, { offset: chunk * 64 * KIB, size: 1 }, { priority: "prefetch" });
    assert.deepEqual(presentOf(layer), [1, 3, 4]);
    await bench.fetcher.read(layer, { offset: 0, size: 1 });
    // 512 KiB behind the byte.
    await untilPresent(layer, 8);
    await bench.fetcher.read(layer, { offset: 2 * 64 * KIB, size: 1 });
    assert.deepEqual(presentOf(layer), [0, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(bench.fetcher.statistics().stalls, 1);
  });

  test("of who jumps about in a large file, all over it", async (t) => {
    const sample = await fetchSample([halfNoise(100, 2), halfNoise(8 * MIB + 5, 1), halfNoise(100, 3)], {
      chunkSize: MIB,
    });
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry, clock: UNMEASURED });
    const [layer] = bench.layers;
    assert.ok(layer !== undefined);
    const place = (chunk: number): number => layer.chunk(chunk).place;
    const read = async (chunk: number): Promise<void> => {
      await bench.fetcher.read(layer, { offset: place(chunk) + 5, size: 1 });
    };
    await read(3);
    assert.deepEqual(presentOf(layer), [3]);
    await read(7);
    await untilPresent(layer, 4);
    assert.deepEqual(presentOf(layer).slice(0, 3), [3, 7, 8]);
    await read(1);
    await untilPresent(layer, 8);
    assert.equal(bench.fetcher.statistics().stalls, 3);
  });

  test("and when that fails, whoever fills the layer asks for it again", async (t) => {
    const sample = await fetchSample([halfNoise(512 * KIB, 1)]);
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry, clock: UNMEASURED });
    const [layer] = bench.layers;
    assert.ok(layer !== undefined);
    await bench.fetcher.ensure(layer, { offset: 64 * KIB, size: 1 }, { priority: "prefetch" });
    const first = layer.chunk(0).blobOffset;
    const isWaitedFor = Promise.withResolvers<unknown>();
    let failed = 0;
    registry.faultOf = ({ offset }) => {
      if (offset === first || failed > 0) return undefined;
      failed += 1;
      return { kind: "reset", after: 0, until: isWaitedFor.promise };
    };
    await bench.fetcher.read(layer, { offset: 0, size: 1 });
    await settle(() => registry.asked.length >= 3);
    const filling = bench.fetcher.fill([layer], { priority: "pull" });
    await setTimeout(100);
    isWaitedFor.resolve(undefined);
    await filling;
    assert.ok(layer.complete);
    assert.equal(failed, 1);
  });

  test("with few requests where much is there already, and without large neighbours", async (t) => {
    const small = await fetchSample(Array.from({ length: 100 }, (_, at) => halfNoise(4000, at + 1)));
    const large = await fetchSample(
      Array.from({ length: 450 }, (_, at) => halfNoise(40_000, at + 1)),
      { minChunkSize: 8 * MIB },
    );
    const registry = await serveFaulty(t, [small, large]);
    await using bench = await openFetchBench(t, [small, large], { registry, clock: UNMEASURED });
    const [scattered, members] = bench.layers;
    assert.ok(scattered !== undefined && members !== undefined);
    for (let chunk = 1; chunk < 100; chunk += 2) {
      const offset = scattered.chunk(chunk).place;
      await bench.fetcher.ensure(scattered, { offset, size: 1 }, { priority: "prefetch" });
    }
    registry.asked.length = 0;
    await bench.fetcher.read(scattered, { offset: 0, size: 1 });
    await untilPresent(scattered, 50 + 5);
    await setTimeout(50);
    assert.equal(registry.asked.length, 5);

    registry.asked.length = 0;
    const rows = Array.from({ length: members.chunkCount }, (_, chunk) => members.chunk(chunk));
    const second = rows.findIndex(({ blobOffset }) => blobOffset !== rows[0]?.blobOffset);
    await bench.fetcher.read(members, { offset: rows[second - 2]?.place ?? 0, size: 1 });
    await setTimeout(50);
    assert.equal(registry.asked.length, 1);
  });

  test("and what it guesses wrong, or cannot look at, is no reader's failure", async (t) => {
    const sample = await fetchSample([halfNoise(12 * MIB, 1)], { chunkSize: MIB });
    const registry = await serveFaulty(t, [sample]);
    await using bench = await openFetchBench(t, [sample], { registry, clock: UNMEASURED });
    const [layer] = bench.layers;
    assert.ok(layer !== undefined);
    const chunk = layer.chunk.bind(layer);
    t.mock.method(layer, "chunk", (index: number) => {
      if (index > 6) throw new EsgzError("STORE_INVALID", "Cannot read it");
      return chunk(index);
    });
    assert.equal((await bench.fetcher.read(layer, { offset: 5, size: 1 })).length, 1);
  });
});
