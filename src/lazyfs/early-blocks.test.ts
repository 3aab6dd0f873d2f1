import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createEarlyBlocksMemory, createEarlyUseCounter, EarlyBlocks } from "./early-blocks.ts";

const BLOCK = 4096;

describe("EarlyBlocks", () => {
  test("counts each block once, when it comes and when it is read", () => {
    const used = createEarlyUseCounter();
    const early = new EarlyBlocks(createEarlyBlocksMemory(100 * BLOCK, used));
    assert.equal(early.add({ offset: 5 * BLOCK, size: 20 * BLOCK - 1 }), 20 * BLOCK);
    assert.equal(early.add({ offset: 24 * BLOCK, size: 2 * BLOCK }), BLOCK);
    early.use({ offset: 0, size: 6 * BLOCK });
    assert.equal(used[0], BigInt(BLOCK));
    early.use({ offset: 0, size: 6 * BLOCK });
    assert.equal(used[0], BigInt(BLOCK));
    early.use({ offset: 10 * BLOCK + 7, size: 1 });
    assert.equal(used[0], BigInt(2 * BLOCK));
    early.use({ offset: 0, size: 1000 * BLOCK });
    assert.equal(used[0], BigInt(21 * BLOCK));
  });

  test("is told by whoever shares the memory", () => {
    const used = createEarlyUseCounter();
    const early = new EarlyBlocks(createEarlyBlocksMemory(64 * BLOCK, used));
    early.add({ offset: 0, size: 64 * BLOCK });
    new EarlyBlocks(early.memory).use({ offset: 8 * BLOCK, size: 16 * BLOCK });
    early.use({ offset: 0, size: 0 });
    assert.equal(used[0], BigInt(16 * BLOCK));
  });
});
