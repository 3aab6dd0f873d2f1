import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { ByteRange } from "../blob/index.ts";
import { PieceLanes } from "./piece-lanes.ts";

const MIB = 1 << 20;

/** A link on which each piece takes a number of milliseconds, by the order in which they were asked for. */
async function bringOver(
  range: ByteRange | readonly ByteRange[],
  msOf: (order: number) => number,
  options: { readonly mostWhenSlow?: number } = {},
): Promise<{ asked: ByteRange[]; most: number }> {
  let nowMs = 0;
  let most = 0;
  const asked: ByteRange[] = [];
  const under: { readonly endMs: number; readonly arrived: () => void }[] = [];
  const bring = async (piece: ByteRange): Promise<void> => {
    const arrived = Promise.withResolvers<void>();
    under.push({ endMs: nowMs + msOf(asked.length), arrived: arrived.resolve });
    asked.push(piece);
    most = Math.max(most, under.length);
    await arrived.promise;
  };
  let isDone = false;
  const lanes = new PieceLanes({ clock: { nowMs: () => nowMs }, ...options });
  const ranges = [range].flat();
  const bringing = Promise.all(ranges.map((each) => lanes.bring(each, bring))).finally(() => (isDone = true));
  while (!isDone) {
    under.sort((a, b) => a.endMs - b.endMs);
    const [next] = under.splice(0, 1);
    nowMs = next?.endMs ?? nowMs;
    next?.arrived();
    await setImmediate();
  }
  await bringing;
  return { asked, most };
}

describe("PieceLanes.bring()", () => {
  test("asks for each byte once, over more connections with each piece that comes fast", async () => {
    const { asked, most } = await bringOver({ offset: 5, size: 150 * MIB + 3 }, () => 100);
    assert.equal(asked[0]?.offset, 5);
    for (const [at, { offset, size }] of asked.entries())
      assert.equal(offset + size, asked[at + 1]?.offset ?? 5 + 150 * MIB + 3);
    assert.equal(most, 8);
  });

  test("asks for one after the other where they come slowly, and leaves what is larger than it may be there", async () => {
    const slow = await bringOver({ offset: 0, size: 60 * MIB }, () => 4000);
    assert.deepEqual([slow.asked.length, slow.most], [8, 1]);
    const range = { offset: 0, size: 150 * MIB };
    const large = await bringOver(range, () => 4000, { mostWhenSlow: range.size - 1 });
    assert.equal(large.asked.length, 1);
    const most = await bringOver(range, () => 4000, { mostWhenSlow: range.size });
    assert.equal(most.asked.length, 19);
  });

  test("goes back to one at a time when they no longer come fast", async () => {
    const { asked, most } = await bringOver({ offset: 0, size: 64 * MIB }, (order) =>
      order < 3 ? 100 : 600 + order,
    );
    assert.equal(asked.length, 8);
    assert.ok(most > 1 && most < 8, `${most}`);
  });

  test("brings nothing of nothing, and nothing more when a piece fails", async () => {
    assert.deepEqual((await bringOver({ offset: 7, size: 0 }, () => 1)).asked, []);
    const failure = new Error("no");
    let asked = 0;
    const bring = async (): Promise<void> => {
      asked += 1;
      await setImmediate();
      throw failure;
    };
    await assert.rejects(
      new PieceLanes({ clock: { nowMs: () => 0 } }).bring({ offset: 0, size: 32 * MIB }, bring),
      failure,
    );
    assert.equal(asked, 1);
  });

  test("asks for a range after those that were asked for before, over the same connections", async () => {
    const [first, second] = [
      { offset: 0, size: 30 * MIB },
      { offset: 100 * MIB, size: 9 * MIB },
    ];
    const { asked, most } = await bringOver([first, second], () => 100);
    const offsets = [0, 8, 16, 24, 100, 108].map((at) => at * MIB);
    assert.deepEqual(
      asked.map(({ offset }) => offset),
      offsets,
    );
    assert.ok(most > 1);
    const slow = await bringOver([first, second], () => 4000, { mostWhenSlow: 20 * MIB });
    assert.deepEqual(
      slow.asked.map(({ offset }) => offset),
      [0, 100 * MIB, 108 * MIB],
    );
    assert.equal(slow.most, 1);
  });

  test("goes on with other ranges when one fails, and tells who asked for that", async () => {
    const lanes = new PieceLanes({ clock: { nowMs: () => 0 } });
    const asked: number[] = [];
    const bring = async ({ offset }: ByteRange): Promise<void> => {
      asked.push(offset);
      await setImmediate();
      if (offset === 0) throw new Error("no");
    };
    const outcomes = await Promise.allSettled([
      lanes.bring({ offset: 0, size: 20 * MIB }, bring),
      lanes.bring({ offset: 50 * MIB, size: 1 }, bring),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ["rejected", "fulfilled"],
    );
    assert.deepEqual(asked, [0, 50 * MIB]);
    await lanes.bring({ offset: 60 * MIB, size: 1 }, bring);
    assert.deepEqual(asked.length, 3);
  });
});
