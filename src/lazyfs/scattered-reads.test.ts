import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ChunkRow } from "../store/index.ts";
import { ScatteredReads } from "./scattered-reads.ts";

const MIB = 1 << 20;
const CHUNK = 4 * MIB;
const PLENTY = 1024 * MIB;

/** A layer of files with these sizes, cut into chunks of 4 MiB; what is there is in the set. */
function layerOf(sizes: readonly number[]): { scattered: ScatteredReads; present: Set<number> } {
  const rows: ChunkRow[] = [];
  let place = 0;
  for (const size of sizes) {
    for (let at = 0; at < size; at += CHUNK) {
      const length = Math.min(CHUNK, size - at);
      rows.push({ place, size: length, blobOffset: place, memberSize: length, innerOffset: 0 } as ChunkRow);
      place += Math.ceil(length / 4096) * 4096;
    }
  }
  const present = new Set<number>();
  const layer = {
    chunkCount: rows.length,
    chunk: (index: number): ChunkRow => {
      const row = rows[index];
      assert.ok(row !== undefined, `no chunk ${index}`);
      return row;
    },
    hasChunk: (index: number): boolean => present.has(index),
  };
  return { scattered: new ScatteredReads(layer), present };
}

/** The missing chunks of ranges. */
function missingOf(
  ranges: ReturnType<ScatteredReads["noteMiss"]>,
  present: ReadonlySet<number>,
): readonly number[] {
  return ranges
    .flatMap(({ first, end }) => Array.from({ length: end - first }, (_, at) => first + at))
    .filter((chunk) => !present.has(chunk));
}

describe("ScatteredReads", () => {
  test("brings more with each read, first what is behind it, and all of a file in the end", () => {
    const { scattered, present } = layerOf([4096, 20 * CHUNK + 5, 4096]);
    const miss = (chunk: number): readonly number[] => {
      const beside = missingOf(scattered.noteMiss(chunk, PLENTY), present);
      for (const one of [chunk, ...beside]) present.add(one);
      return beside.toSorted((a, b) => a - b);
    };
    assert.deepEqual(miss(4), []);
    assert.deepEqual(miss(9), [10, 11]);
    assert.deepEqual(miss(19), [17, 18, 20, 21]);
    assert.deepEqual(miss(1), [2, 3, 5, 6, 7, 8]);
    assert.deepEqual(miss(13), [12, 14, 15, 16]);
    assert.equal(present.size, 21, "and nothing of its neighbours");
  });

  test("leaves files of one chunk alone, whatever lies beside them", () => {
    const { scattered, present } = layerOf([MIB / 2, MIB / 2, CHUNK - 100, CHUNK - 100, 2 * CHUNK]);
    for (let round = 0; round < 3; round += 1) {
      for (const chunk of [0, 1, 2, 3])
        assert.deepEqual(missingOf(scattered.noteMiss(chunk, PLENTY), present), []);
    }
    scattered.noteMiss(4, PLENTY);
    assert.deepEqual(missingOf(scattered.noteMiss(5, PLENTY), present), [4]);
  });

  test("counts the last, smaller chunk to its file", () => {
    const { scattered, present } = layerOf([3 * CHUNK + 17]);
    scattered.noteMiss(3, PLENTY);
    assert.deepEqual(missingOf(scattered.noteMiss(0, PLENTY), present), [1, 2]);
  });

  test("brings no more than it may", () => {
    const { scattered, present } = layerOf([1500 * CHUNK]);
    for (let at = 0; at < 40; at += 1) {
      const most = missingOf(scattered.noteMiss((at * 37) % 1000, 5 * CHUNK + 1), present).length;
      assert.ok(most <= 5, `${most}`);
      assert.deepEqual(scattered.noteMiss((at * 41) % 1000, CHUNK - 1), []);
    }
    assert.equal(missingOf(scattered.noteMiss(500, PLENTY), present).length, 16);
  });

  test("follows eight files, and forgets the one that was read longest ago", () => {
    const { scattered, present } = layerOf(Array.from({ length: 9 }, () => 3 * CHUNK + 1));
    for (let file = 0; file < 9; file += 1) scattered.noteMiss(4 * file, PLENTY);
    assert.deepEqual(missingOf(scattered.noteMiss(0, PLENTY), present), []);
    assert.deepEqual(missingOf(scattered.noteMiss(32, PLENTY), present), [33, 34]);
  });
});
