import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ReadAhead } from "./read-ahead.ts";

const KIB = 1024;

function open(): ReadAhead {
  return new ReadAhead({ readAheadMin: 128 * KIB, readAheadMax: 1024 * KIB });
}

describe("ReadAhead", () => {
  test("takes neighbours along with a read that fits no sequence", () => {
    assert.deepEqual(open().noteMiss(40 * KIB, 8 * KIB), {
      takeAlong: { offset: 48 * KIB, size: 128 * KIB },
      beside: undefined,
      isNew: true,
    });
  });

  test("doubles the window when the reader comes to the mark, up to the most", () => {
    const ahead = open();
    ahead.noteMiss(0, 4 * KIB);
    const windows: number[] = [];
    for (let offset = 4 * KIB; offset < 8 * 1024 * KIB; offset += 4 * KIB) {
      const range = ahead.noteHit(offset, 4 * KIB);
      if (range === undefined) continue;
      windows.push(range.size / KIB);
      assert.ok(range.offset > offset, "it is asked for before the reader is there");
      assert.equal(Atomics.load(ahead.marks, 0), range.offset / 4096);
    }
    assert.deepEqual(windows.slice(0, 6), [256, 512, 1024, 1024, 1024, 1024]);
  });

  test("does not grow when a reader waits for what is on its way", () => {
    const ahead = open();
    ahead.noteMiss(0, 4 * KIB);
    ahead.noteHit(4 * KIB, 4 * KIB);
    const { takeAlong, beside, isNew } = ahead.noteMiss(64 * KIB, 4 * KIB);
    assert.deepEqual([takeAlong.size, beside, isNew], [128 * KIB, undefined, false]);
  });

  test("follows eight readers, each with a mark of its own, and forgets the oldest", () => {
    const ahead = open();
    const far = 64 * 1024 * KIB;
    for (let reader = 0; reader < 9; reader += 1) ahead.noteMiss(reader * far, 4 * KIB);
    const marks = [...ahead.marks].map((block) => (block * 4096 - 4 * KIB) / far);
    assert.deepEqual(marks, [8, 1, 2, 3, 4, 5, 6, 7]);
    assert.equal(ahead.noteHit(4 * KIB, 4 * KIB), undefined);
    assert.ok(ahead.noteHit(3 * far + 4 * KIB, 4 * KIB));
  });

  test("sees no sequence in reads at random", () => {
    const ahead = open();
    let asked = 0;
    for (let at = 0; at < 100; at += 1) {
      const { takeAlong, beside, isNew } = ahead.noteMiss(((at * 7919) % 1009) * 1024 * KIB, 4 * KIB);
      assert.deepEqual([beside, isNew], [undefined, true]);
      asked += takeAlong.size;
    }
    assert.ok(asked <= 100 * 256 * KIB, `${asked / KIB} KiB`);
  });
});
