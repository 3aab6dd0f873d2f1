import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { openStore, type Layer } from "../store/index.ts";
import { sampleLayer, scratchDirectory } from "../store/sample-layer.fixture.ts";
import { createEarlyBlocksMemory, createEarlyUseCounter } from "./early-blocks.ts";
import { HeldLayers } from "./held-layers.ts";
import type { RangeFetcher } from "./range-fetcher.ts";

/** Brings nothing; says when a layer was opened, in the middle of that. */
function fetcherWith(onOpened: () => void): RangeFetcher {
  const used = createEarlyUseCounter();
  return {
    read: () => Promise.reject(new Error("nobody reads")),
    noteHit: () => undefined,
    marksOf: () => new Int32Array(0),
    earlyBlocksOf({ dataSize }: Layer) {
      onOpened();
      return createEarlyBlocksMemory(dataSize, used);
    },
    layerStatistics: () => ({ waiting: [] }),
  };
}

test("hold() gives an open layer when another holder came and went while it was being opened", async () => {
  await using place = await scratchDirectory();
  const options = { clock: new StandingClock(), pid: process.pid };
  await using store = await openStore(join(place.path, "store"), options);
  const { digest, layer } = sampleLayer("a");
  await (await store.createLayer(digest, layer)).close();
  let brief: Promise<void> | undefined;
  const comeAndGo = async (): Promise<void> => {
    await held.hold(digest);
    await held.release(digest);
  };
  const held: HeldLayers = new HeldLayers(
    store,
    fetcherWith(() => queueMicrotask(() => void (brief ??= comeAndGo()))),
  );
  const holding = await held.hold(digest);
  await brief;
  assert.equal(held.get(digest), holding);
  assert.equal((await holding.layer.readRange({ offset: 0, size: 4096 })).kind, "missing");
  await held.release(digest);
  assert.equal(held.get(digest), undefined);
});
