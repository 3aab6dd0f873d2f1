import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { type Fault, fetchSample, halfNoise, openFetchBench, serveFaulty } from "./fetch.fixture.ts";

const SAMPLES = [
  await fetchSample(
    Array.from({ length: 60 }, (_, at) => halfNoise(1 + ((at * 7919) % 60_000), at + 1)),
    {
      chunkSize: 16 << 10,
      prefetchSize: 200_000,
    },
  ),
  await fetchSample(
    [halfNoise(1_000_000, 500), ...Array.from({ length: 30 }, (_, at) => halfNoise(9000, at + 1))],
    {
      chunkSize: 32 << 10,
      format: "zstd:chunked",
    },
  ),
];

const layer = fc.nat(1);
const place = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(200_000));
const action = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("read"), layer, place }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("ensure"),
      layer,
      place,
      priority: fc.constantFrom("demand", "prefetch", "background"),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prefetch"), layer }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("fill"),
      layer,
      priority: fc.constantFrom("pull", "background"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("hit"), layer, place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("wait") }) },
);
const fault = fc.oneof(
  { weight: 3, arbitrary: fc.constant(undefined) },
  fc.record({ kind: fc.constant("reset"), after: fc.nat(30_000) }),
  fc.record({ kind: fc.constant("short"), after: fc.nat(30_000) }),
  fc.record({ kind: fc.constant("flip"), blobOffset: fc.nat(400_000) }),
  fc.record({ kind: fc.constant("status"), status: fc.constantFrom(503, 403, 404, 429) }),
);

test("LayerFetcher gives the right bytes or a typed error, whatever is asked for and whatever breaks", async (t) => {
  const registry = await serveFaulty(t, SAMPLES);
  const plan = fc.record({
    // An action, and whether it is cancelled right after its start.
    actions: fc.array(fc.tuple(action, fc.boolean()), { minLength: 3, maxLength: 25 }),
    faults: fc.array(fault, { maxLength: 12 }),
    rangeSize: fc.constantFrom(32 << 10, 256 << 10),
    joinMs: fc.constantFrom(0, 1000),
    quotaBytes: fc.constantFrom(undefined, undefined, 250_000),
  });
  const run = async ({
    actions,
    faults,
    rangeSize,
    joinMs,
    quotaBytes,
  }: PlanOf<typeof plan>): Promise<void> => {
    const left = [...faults];
    registry.faultOf = () => left.shift() as Fault | undefined;
    const tuning = { rangeSize, minRangeSize: rangeSize, joinMs, yieldMs: 5, diskRetryMs: 20 };
    await using bench = await openFetchBench(t, SAMPLES, { registry, tuning, store: { quotaBytes } });
    const { fetcher } = bench;
    const under: Promise<unknown>[] = [];
    const isRight = (at: number, offset: number, bytes: Uint8Array): void => {
      const expected = SAMPLES[at]?.device.subarray(offset, offset + bytes.length) ?? new Uint8Array(0);
      assert.equal(Buffer.compare(bytes, expected), 0, `${bytes.length} bytes at ${offset} of layer ${at}`);
    };
    for (const [step, cancelled] of actions) {
      if (step.kind === "wait") {
        await Promise.all(under.splice(0));
        continue;
      }
      const at = "layer" in step ? step.layer : 0;
      const target = bench.layers[at];
      assert.ok(target !== undefined);
      const [share, wanted] = "place" in step ? step.place : [0, 0];
      const offset = Math.floor(share * (target.dataSize - 1));
      const range = { offset, size: Math.min(wanted, target.dataSize - offset) };
      const controller = new AbortController();
      const { signal } = controller;
      const work = async (): Promise<void> => {
        if (step.kind === "read") isRight(at, offset, await fetcher.read(target, range, { signal }));
        else if (step.kind === "ensure") {
          await fetcher.ensure(target, range, { signal, priority: step.priority as "demand" });
          if (quotaBytes === undefined) assert.ok(target.isFilled(range));
        } else if (step.kind === "prefetch") await fetcher.prefetch(target, { signal });
        else if (step.kind === "fill") {
          await fetcher.fill([target], { signal, priority: step.priority as "pull" });
          assert.ok(target.complete);
        } else fetcher.noteHit(target, offset);
      };
      under.push(
        work().catch((error: unknown) => {
          if (cancelled && error === "cancelled") return;
          assert.ok(isEsgzError(error) && error.code !== "INTERNAL", String(error));
          assert.ok(faults.length > 0 || quotaBytes !== undefined, `nothing was wrong: ${String(error)}`);
        }),
      );
      if (cancelled) controller.abort("cancelled");
    }
    await Promise.all(under);
    registry.faultOf = () => undefined;
    for (const [at, target] of bench.layers.entries()) {
      isRight(at, 0, await fetcher.read(target, { offset: 0, size: target.dataSize }));
    }
    assert.equal(fetcher.statistics().queueLengths.reads, 0);
  };
  await fc.assert(fc.asyncProperty(plan, run), { numRuns: 20, endOnFailure: true });
});

type PlanOf<T> = T extends fc.Arbitrary<infer U> ? U : never;
