import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { ChunkIndex } from "./chunk-index.ts";
import { ChunkTable } from "./chunk-table.ts";
import { encodeChunkTable } from "./chunk-table-file.ts";
import { DEFAULT_TABLE_LIMITS } from "./chunk-table-limits.ts";
import { PageCache } from "./page-cache.ts";
import { sampleLayer, scratchDirectory } from "./sample-layer.fixture.ts";

const [A, B] = [sampleLayer("a").digest, sampleLayer("b").digest];

function digestOf(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}

async function tableOf(path: string, texts: readonly string[]): Promise<ChunkTable> {
  const rows = texts.map((text, place) => {
    return { place, size: 1, blobOffset: 0, memberSize: 0, innerOffset: 0, digest: digestOf(text) };
  });
  await writeFile(path, encodeChunkTable({ dataSize: 4096, rows }));
  return ChunkTable.open(path, { limits: DEFAULT_TABLE_LIMITS, cache: new PageCache(8) });
}

test("chunks are found in all layers that were added, until they are removed", async () => {
  await using directory = await scratchDirectory();
  using a = await tableOf(join(directory.path, "a"), ["x", "y", "x"]);
  using b = await tableOf(join(directory.path, "b"), ["z", "x"]);
  const index = new ChunkIndex(10);
  index.add(A, a);
  index.add(A, a);
  index.add(B, b);
  assert.equal(index.size, 5);
  assert.deepEqual(
    [...index.find(digestOf("x"))],
    [
      { layer: A, index: 0 },
      { layer: A, index: 2 },
      { layer: B, index: 1 },
    ],
  );
  assert.deepEqual([...index.find(digestOf("none"))], []);
  index.remove(A);
  assert.deepEqual([...index.find(digestOf("x"))], [{ layer: B, index: 1 }]);
});

test("the index never holds more than it may", async () => {
  await using directory = await scratchDirectory();
  const texts = Array.from({ length: 1000 }, (_, at) => String(at));
  using table = await tableOf(join(directory.path, "a"), texts);
  const index = new ChunkIndex(100);
  index.add(A, table);
  assert.equal(index.size, 100);
  assert.deepEqual([...index.find(digestOf("99"))], [{ layer: A, index: 99 }]);
  assert.deepEqual([...index.find(digestOf("100"))], []);
});

test("a digest that very many chunks share is kept a few times", async () => {
  await using directory = await scratchDirectory();
  using table = await tableOf(
    join(directory.path, "a"),
    Array.from({ length: 1000 }, () => "same"),
  );
  const index = new ChunkIndex(1000);
  index.add(A, table);
  assert.equal([...index.find(digestOf("same"))].length, 8);
});
