import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Chunk } from "../estargz/index.ts";
import { createFetchTable, markWholeFiles } from "./fetch-table.ts";
import { createFileTable, digestOfPiece } from "./file-table.ts";
import { interleaveRanges, planLayer } from "./range-plan.ts";
import type { FileNode } from "./root-nodes.ts";

const METADATA = { mode: 0o644, uid: 0, gid: 0, mtime: { seconds: 0, nanoseconds: 0 }, xattrs: new Map() };
const OPTIONS = { rangeSize: 1000, gapSize: 50, batchSize: 300, batchPieces: 100 };

function file(index: number, chunks: readonly Chunk[], layer = 0): FileNode {
  const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
  return { path: `f${index}`, metadata: METADATA, size, layer, chunks };
}

/** A chunk of 10 bytes in a member of its own. */
function chunk(blobOffset: number, blobEnd: number, content: number, fileOffset = 0): Chunk {
  const digest = `sha256:${content.toString(16).padStart(64, "0")}` as const;
  return { fileOffset, size: 10, digest, kind: "data", blobOffset, blobEnd, innerOffset: 0 };
}

function planOf(files: readonly FileNode[], blobSize: number, heldFrom = blobSize) {
  const table = createFileTable(files);
  const fetch = createFetchTable(table);
  return { table, fetch, plan: planLayer(fetch, { index: 0, blobSize, heldFrom }, OPTIONS) };
}

describe("planLayer()", () => {
  test("reads small gaps through and goes around large ones", () => {
    const files = [
      file(0, [chunk(40, 100, 1)]),
      file(1, [chunk(150, 200, 2)]),
      file(2, [chunk(300, 400, 3)]),
    ];
    const { plan } = planOf(files, 420);
    assert.deepEqual(
      plan.ranges.map(({ offset, size, fetchSize }) => ({ offset, size, fetchSize })),
      [
        { offset: 0, size: 200, fetchSize: 200 },
        { offset: 300, size: 120, fetchSize: 120 },
      ],
    );
    assert.equal(plan.skippedBytes, 100);
    assert.equal(plan.complete, false);
  });

  test("does not ask for what came with the index", () => {
    const files = [file(0, [chunk(0, 100, 1)]), file(1, [chunk(100, 200, 2)]), file(2, [chunk(200, 300, 3)])];
    const { plan } = planOf(files, 500, 150);
    assert.equal(plan.fetchBytes, 150);
    assert.equal(plan.complete, true);
    const { plan: held } = planOf(files, 500, 0);
    assert.equal(held.fetchBytes, 0);
    assert.equal(held.complete, true);
  });

  test("asks once for chunks with the same digest", () => {
    const files = [file(0, [chunk(0, 100, 1)]), file(1, [chunk(100, 400, 1)]), file(2, [chunk(400, 500, 2)])];
    const { fetch, plan } = planOf(files, 500);
    assert.equal(fetch.members, 2);
    assert.equal(plan.skippedBytes, 300);
    assert.deepEqual([...fetch.target], [0, 1, 2]);
  });

  test("tells digests of other sizes and algorithms apart, and one digest that has two sizes", () => {
    const long = `sha512:${"0".repeat(63)}1${"0".repeat(64)}` as const;
    const files = [
      file(0, [chunk(0, 100, 1)]),
      file(1, [{ ...chunk(100, 200, 1), digest: long }]),
      file(2, [{ ...chunk(200, 300, 1), size: 20 }]),
      file(3, [{ ...chunk(300, 400, 1), digest: long }]),
      file(4, [chunk(400, 500, 1)]),
    ];
    const { table, fetch } = planOf(files, 500);
    assert.deepEqual([...fetch.targetStart], [0, 2, 4, 5]);
    assert.deepEqual([...fetch.target], [0, 4, 1, 3, 2]);
    assert.equal(digestOfPiece(table, 1), long);
    assert.equal(digestOfPiece(table, 4), `sha256:${"0".repeat(63)}1`);
  });

  test("marks as whole the files that one batch completes", () => {
    const split = file(0, [chunk(0, 310, 1), chunk(310, 590, 2, 10)]);
    const together = file(1, [chunk(590, 600, 3), chunk(600, 610, 4, 10)]);
    const { table, fetch, plan } = planOf([split, together], 610);
    markWholeFiles(
      table,
      fetch,
      plan.ranges.flatMap(({ batches }) => batches),
    );
    assert.deepEqual([...fetch.whole], [0, 1]);
  });

  test("covers every member once, in batches that end inside their range", () => {
    const member = fc.record({ gap: fc.nat(200), size: fc.integer({ min: 1, max: 1500 }) });
    fc.assert(
      fc.property(
        fc.array(member, { maxLength: 60 }),
        fc.nat(300),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (members, tail, held) => {
          let at = 0;
          const files = members.map(({ gap, size }, index) => {
            const offset = at + gap;
            at = offset + size;
            return file(index, [chunk(offset, at, index)]);
          });
          const blobSize = at + tail;
          const { fetch, plan } = planOf(files, blobSize, Math.floor(blobSize * held));
          const batches = plan.ranges.flatMap(({ batches: own }) => own);
          assert.deepEqual(
            batches.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i)),
            Array.from({ length: fetch.members }, (_, i) => i),
          );
          let end = 0;
          for (const range of plan.ranges) {
            assert.ok(range.offset >= end && range.offset + range.size <= blobSize);
            assert.ok(range.fetchSize <= range.size);
            for (const { from, blobEnd } of range.batches) {
              assert.ok(
                (fetch.memberOffset[from] ?? 0) >= range.offset && blobEnd <= range.offset + range.size,
              );
            }
            end = range.offset + range.size;
          }
          const held0 = Math.floor(blobSize * held);
          assert.equal(
            plan.fetchBytes + plan.skippedBytes,
            held0,
            "every byte that is not held is fetched or skipped",
          );
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("interleaveRanges()", () => {
  test("lets layers take turns and keeps each layer's order", () => {
    const range = (layer: number, offset: number) => ({ layer, offset, size: 1, fetchSize: 1, batches: [] });
    const facts = { fetchBytes: 0, skippedBytes: 0, complete: true };
    const order = interleaveRanges([
      { index: 0, ranges: [range(0, 0), range(0, 1), range(0, 2)], ...facts },
      { index: 1, ranges: [range(1, 0)], ...facts },
    ]);
    assert.deepEqual(
      order.map(({ layer, offset }) => `${layer}:${offset}`),
      ["0:0", "1:0", "0:1", "0:2"],
    );
  });
});
