import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { ChunkTable } from "./chunk-table.ts";
import { encodeChunks, encodeChunkTable } from "./chunk-table-file.ts";
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

test("a table that was just encoded is opened by its summary as it is by its rows", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const options = { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(2) };
  const pieces = fc.array(fc.tuple(fc.nat({ max: 9000 }), fc.integer({ min: 1, max: 9000 })), {
    maxLength: 200,
  });
  await fc.assert(
    fc.asyncProperty(pieces, async (steps) => {
      let end = 0;
      const rows = steps.map(([gap, size], index) => {
        const place = end + gap;
        end = place + size;
        return { place, size, blobOffset: index, memberSize: 1, innerOffset: 2, digest: DIGEST };
      });
      const dataSize = (Math.ceil(end / 4096) + 1) * 4096;
      const encoded = encodeChunks({ dataSize, rows });
      await writeFile(path, encoded.table);
      using read = ChunkTable.open(path, options);
      using written = ChunkTable.openWritten(path, encoded, options);
      for (const key of ["count", "dataSize", "chunkBytes", "gaps"] as const)
        assert.deepEqual(written[key], read[key], key);
      for (const [index, row] of rows.entries()) {
        assert.deepEqual(written.row(index), row);
        assert.deepEqual(written.overlapping(row.place, 1), { first: index, end: index + 1 });
      }
    }),
    { numRuns: 40 },
  );
});

test("a summary does not take the place of narrower limits than those of its maker", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "chunks");
  const row = { place: 0, size: 5000, blobOffset: 0, memberSize: 9, innerOffset: 0, digest: DIGEST };
  const encoded = encodeChunks({ dataSize: 8192, rows: [row] });
  await writeFile(path, encoded.table);
  const openWith = (maxChunkSize: number): ChunkTable =>
    ChunkTable.openWritten(path, encoded, {
      limits: { ...DEFAULT_TABLE_LIMITS, maxChunkSize },
      cache: new PageCache(2),
    });
  openWith(5000)[Symbol.dispose]();
  assert.throws(() => openWith(4999), { code: "STORE_INVALID" });
});
