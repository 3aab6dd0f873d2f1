import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkTable } from "./chunk-table.ts";
import { encodeChunkTable } from "./chunk-table-file.ts";
import { DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { PageCache } from "./page-cache.ts";
import { scratchDirectory } from "./sample-layer.fixture.ts";

const DIGEST = new Uint8Array(32).fill(7);

test("a table has the bytes that its description says", () => {
  const row = {
    place: 0x1000,
    size: 5,
    blobOffset: 0x1_0000_0002,
    memberSize: 9,
    innerOffset: 3,
    digest: DIGEST,
  };
  const hex = Buffer.from(encodeChunkTable({ dataSize: 8192, rows: [row] })).toString("hex");
  assert.equal(
    hex.slice(0, 64),
    "6573677a43686e6b" + "01000000" + "40000000" + "0100000000000000" + "0020000000000000",
  );
  assert.equal(
    hex.slice(128),
    "0010000000000000" + "0200000001000000" + "0300000000000000" + "05000000" + "09000000" + "07".repeat(32),
  );
});

test("rows are found by index and by place, as a search through all of them finds them", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const pieces = fc.array(fc.tuple(fc.nat({ max: 3 }), fc.integer({ min: 1, max: 9 })), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(
      pieces,
      fc.array(fc.tuple(fc.nat({ max: 1500 }), fc.nat({ max: 40 }))),
      async (steps, reads) => {
        let end = 0;
        const rows = steps.map(([gap, size], index) => {
          const place = end + gap;
          end = place + size;
          return { place, size, blobOffset: index, memberSize: 1, innerOffset: 2, digest: DIGEST };
        });
        await writeFile(path, encodeChunkTable({ dataSize: 4096, rows }));
        using table = ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(2) });
        assert.equal(table.count, rows.length);
        assert.equal(
          table.chunkBytes,
          rows.reduce((sum, { size }) => sum + size, 0),
        );
        for (const [index, row] of rows.entries()) assert.deepEqual(table.row(index), row);
        for (const [offset, size] of reads) {
          const { first, end: last } = table.overlapping(offset, size);
          const expected = [...rows.keys()].filter((at) => {
            const row = rows[at];
            // All lie in one block: its rest belongs to the last of them, what is between two to the first.
            const end = rows[at + 1]?.place ?? 4096;
            return row !== undefined && row.place < offset + size && end > offset;
          });
          if (size > 0)
            assert.deepEqual(
              Array.from({ length: last - first }, (_, at) => first + at),
              expected,
            );
          else assert.equal(first, last);
        }
      },
    ),
    { numRuns: 50, endOnFailure: true },
  );
});

test("overlapping() counts the rest of a chunk's last block to the chunk, and no other block", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const rows = [5, 9000].map((size, index) => ({
    place: index * 12_288,
    size,
    blobOffset: index,
    memberSize: 1,
    innerOffset: 2,
    digest: DIGEST,
  }));
  await writeFile(path, encodeChunkTable({ dataSize: 32_768, rows }));
  using table = ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(2) });
  assert.deepEqual(
    [5, 4095, 4096, 12_287, 21_288, 24_575, 24_576].map((offset) => table.overlapping(offset, 1)),
    [
      { first: 0, end: 1 },
      { first: 0, end: 1 },
      { first: 1, end: 1 },
      { first: 1, end: 1 },
      { first: 1, end: 2 },
      { first: 1, end: 2 },
      { first: 2, end: 2 },
    ],
  );
});

test("rows that changed since the table was opened are refused", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const rows = [{ place: 0, size: 5, blobOffset: 0, memberSize: 9, innerOffset: 3, digest: DIGEST }];
  const bytes = encodeChunkTable({ dataSize: 4096, rows });
  await writeFile(path, bytes);
  using table = ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(2) });
  await writeFile(path, bytes.with(70, 1));
  assert.throws(() => table.row(0), { code: "STORE_INVALID" });
  await writeFile(path, bytes);
  assert.deepEqual(table.row(0), rows[0]);
  assert.throws(() => table.row(1), { code: "STORE_INVALID" });
});
