import assert from "node:assert/strict";
import { test } from "node:test";
import { type ConvertOptions, resolveOptions } from "./convert-options.ts";

function options(changes: Partial<ConvertOptions>): ConvertOptions {
  return { format: "estargz", jobs: 2, temporaryDirectory: "unused", ...changes };
}

test("resolveOptions() fills in the defaults of each format", () => {
  const formats = ["estargz", "zstd:chunked", "gzip", "zstd", "uncompressed"] as const;
  const found = formats.map((format) => {
    const { level, chunkSize, minChunkSize, mediaTypes, compressor } = resolveOptions(options({ format }));
    return [format, level, chunkSize, minChunkSize, mediaTypes, compressor];
  });
  assert.deepEqual(found, [
    ["estargz", 6, 4194304, 0, "oci", "zlib"],
    ["zstd:chunked", 3, 4194304, 0, "oci", "zlib"],
    ["gzip", 6, 4194304, 0, undefined, "zlib"],
    ["zstd", 3, 4194304, 0, "oci", "zlib"],
    ["uncompressed", 6, 4194304, 0, undefined, "zlib"],
  ]);
});

const open = (): Promise<never> => Promise.reject(new Error("not opened here"));

const REFUSED: readonly (readonly [
  string,
  "USAGE_INVALID" | "NOT_SUPPORTED",
  Partial<ConvertOptions>,
  RegExp,
])[] = [
  ["an unknown format", "USAGE_INVALID", { format: "lz4" as "gzip" }, /got "lz4"$/],
  ["level 10 of zlib", "USAGE_INVALID", { level: 10 }, /level from 0 to 9, got 10$/],
  ["level 0 of zstd", "USAGE_INVALID", { format: "zstd", level: 0 }, /level from 1 to 22, got 0$/],
  ["a fractional chunk size", "USAGE_INVALID", { chunkSize: 1.5 }, /chunk size/],
  ["a negative minimum chunk size", "USAGE_INVALID", { minChunkSize: -1 }, /minimum chunk size/],
  ["no jobs", "USAGE_INVALID", { jobs: 0 }, /number of jobs/],
  ["a level without compression", "USAGE_INVALID", { format: "uncompressed", level: 1 }, /no level/],
  ["priorities in plain gzip", "USAGE_INVALID", { format: "gzip", prioritize: ["a"] }, /prioritized list/],
  ["chunks in plain zstd", "USAGE_INVALID", { format: "zstd", chunkSize: 5 }, /chunk size only/],
  [
    "shared members in zstd:chunked",
    "USAGE_INVALID",
    { format: "zstd:chunked", minChunkSize: 5 },
    /minimum chunk size/,
  ],
  [
    "external TOCs in zstd:chunked",
    "USAGE_INVALID",
    { format: "zstd:chunked", externalToc: true },
    /external TOC/,
  ],
  ["a dialect without zstd:chunked", "USAGE_INVALID", { zstdDialect: "containers" }, /dialect only/],
  [
    "kept diff ids for containers-storage",
    "NOT_SUPPORTED",
    { format: "zstd:chunked", zstdDialect: "containers", keepDiffId: true },
    /encoded anew$/,
  ],
  [
    "an external TOC without a place",
    "USAGE_INVALID",
    { externalToc: true },
    /destination for the TOC image/,
  ],
  ["docker types for eStargz", "NOT_SUPPORTED", { mediaTypes: "docker" }, /no annotations/],
  ["docker types for zstd", "NOT_SUPPORTED", { format: "zstd", mediaTypes: "docker" }, /docker/],
  ["kept diff ids with the TOC inside", "NOT_SUPPORTED", { keepDiffId: true }, /changes its diff id$/],
  [
    "kept diff ids with another order",
    "NOT_SUPPORTED",
    { format: "zstd:chunked", keepDiffId: true, prioritize: ["a"] },
    /changes the tar and its diff id$/,
  ],
  [
    "all platforms and some",
    "USAGE_INVALID",
    { allPlatforms: true, platforms: [{ os: "linux", architecture: "amd64" }] },
    /got both$/,
  ],
];

for (const [what, code, changes, message] of REFUSED) {
  test(`resolveOptions() refuses ${what}`, () => {
    assert.throws(() => resolveOptions(options(changes)), { code, message });
  });
}

test("resolveOptions() accepts kept diff ids where the tar stays", () => {
  const external = { externalToc: true, openTocDestination: open };
  assert.equal(resolveOptions(options({ ...external, keepDiffId: true })).keepDiffId, true);
  assert.equal(resolveOptions(options({ format: "zstd:chunked", keepDiffId: true })).keepDiffId, true);
  assert.equal(resolveOptions(options({ format: "gzip", keepDiffId: true })).keepDiffId, true);
});

test("resolveOptions() allows the higher levels of libdeflate", () => {
  assert.equal(resolveOptions(options({ level: 12, compressor: "libdeflate" })).level, 12);
});
