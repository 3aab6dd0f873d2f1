import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { createCompressor, type CompressorKind } from "./compressor.ts";
import { probeLibdeflate } from "./libdeflate.ts";

const GZIP_HEADER = "1f8b08000000000000ff";
const TEXT = Buffer.from("some words, again and again\n".repeat(10_000));
const CASES: readonly [CompressorKind, readonly number[], (bytes: Uint8Array) => Buffer][] = [
  ["zlib", [0, 1, 6, 9], (bytes) => gunzipSync(bytes)],
  ["libdeflate", [0, 1, 6, 12], (bytes) => gunzipSync(bytes)],
  ["zstd", [1, 3, 19], (bytes) => zstdDecompressSync(bytes)],
];

for (const [kind, levels, decompress] of CASES) {
  suite(`createCompressor("${kind}")`, { skip: kind === "libdeflate" && !probeLibdeflate().usable }, () => {
    for (const level of levels) {
      test(`compresses content of every size at level ${level}`, async () => {
        const compressor = createCompressor(kind);
        for (const size of [0, 1, 511, 2048, 2049, 4096, 70_000, TEXT.length]) {
          const bytes = await compressor.compress([TEXT.subarray(0, size)], { level });
          assert.deepEqual(decompress(bytes), TEXT.subarray(0, size), `${size} bytes`);
        }
      });
    }

    test("gives the same for the same content in any number of parts, alone or beside others", async () => {
      const compressor = createCompressor(kind);
      const [level = 1] = levels.slice(1);
      const alone = await compressor.compress([TEXT], { level });
      const parts = [TEXT.subarray(0, 10), TEXT.subarray(10, 50_000), TEXT.subarray(50_000)];
      const beside = await Promise.all(
        [TEXT, Buffer.alloc(9), TEXT].map(() => compressor.compress(parts, { level })),
      );
      for (const bytes of beside) assert.deepEqual(Buffer.from(bytes), Buffer.from(alone));
    });

    for (const level of [-1, 1.5, 100]) {
      test(`has no level ${level}`, async () => {
        const compressed = createCompressor(kind).compress([TEXT], { level });
        await assert.rejects(compressed, { code: "CONFIGURATION_INVALID" });
      });
    }

    test("does not begin when its signal is aborted", async () => {
      const signal = AbortSignal.abort(new Error("enough"));
      const [level = 1] = levels;
      await assert.rejects(createCompressor(kind).compress([TEXT], { level, signal }), { message: "enough" });
    });

    if (kind !== "zstd") {
      test("writes a gzip header without time or system", async () => {
        for (const size of [0, 100, TEXT.length]) {
          const member = await createCompressor(kind).compress([TEXT.subarray(0, size)], { level: 6 });
          assert.equal(Buffer.from(member.subarray(0, 10)).toString("hex"), GZIP_HEADER);
        }
      });
    }
  });
}
