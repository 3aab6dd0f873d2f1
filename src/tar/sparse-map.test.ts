import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError, type ErrorCode } from "../errors/index.ts";
import { decodeTar, type DecodeTarOptions } from "./decode-tar.fixture.ts";
import { changeHeader, headerOf, paxHeader, payloadOf } from "./raw-tar.fixture.ts";

function octal(value: number): string {
  return `${value.toString(8).padStart(11, "0")}\0`;
}

function refuses(tar: Uint8Array, code: ErrorCode, options: DecodeTarOptions = {}): void {
  assert.throws(
    () => decodeTar(tar, options),
    (error) => isEsgzError(error, code),
  );
}

/** A file of PAX sparse 1.0 with a map as it stands, and `stored` bytes. */
function sparse10(map: string, stored: string, realSize: number): Buffer {
  const content = Buffer.concat([payloadOf(map), payloadOf(stored)]);
  const size = octal(payloadOf(map).length + stored.length);
  const records = [
    "GNU.sparse.major=1",
    "GNU.sparse.minor=0",
    "GNU.sparse.name=real",
    `GNU.sparse.realsize=${realSize}`,
  ];
  return Buffer.concat([paxHeader(records), headerOf({ name: "fake", type: "0", size }), content]);
}

/** A file of PAX sparse 0.1. */
function sparse01(map: string, stored: string, realSize: number): Buffer {
  const records = [`GNU.sparse.size=${realSize}`, `GNU.sparse.map=${map}`];
  return Buffer.concat([
    paxHeader(records),
    headerOf({ name: "f", type: "0", size: octal(stored.length) }),
    payloadOf(stored),
  ]);
}

/** A file of GNU type S with the runs of its header, and `stored` bytes. */
function gnuSparse(runs: readonly (readonly [number, number])[], stored: string, realSize: number): Buffer {
  const header = headerOf({ name: "f", type: "S", size: octal(stored.length), magic: "ustar  \0" });
  const map = runs
    .map(([offset, size]) => octal(offset) + octal(size))
    .join("")
    .padEnd(97, "\0");
  return Buffer.concat([changeHeader(header, 386, map + octal(realSize)), payloadOf(stored)]);
}

void test("TarDecoder fills holes before, between and behind the runs with zeros", () => {
  const expected = "\0\0ab\0\0\0c\0";
  const files = [
    sparse10("2\n2\n2\n7\n1\n", "abc", 9),
    sparse01("2,2,7,1", "abc", 9),
    gnuSparse(
      [
        [2, 2],
        [7, 1],
      ],
      "abc",
      9,
    ),
  ];
  for (const tar of files) {
    for (const chunkSizes of [[100_000], [1], [513]]) {
      const [file] = decodeTar(tar, { chunkSizes }).entries;
      assert.equal(file?.content.toString("latin1"), expected);
      assert.deepEqual(file.entry.sparse, [
        { offset: 2, size: 2 },
        { offset: 7, size: 1 },
      ]);
      assert.deepEqual([file.entry.size, file.entry.storedSize, file.padding.length], [9, 3, 509]);
      assert.equal(file.entry.dataOffset, tar.length - 512);
    }
  }
});

void test("TarDecoder takes the name of a sparse file from its record", () => {
  assert.equal(decodeTar(sparse10("0\n", "", 5)).entries[0]?.entry.name, "real");
});

void test("TarDecoder refuses maps that do not fit their file", () => {
  const broken: readonly (readonly [string, string, number])[] = [
    ["2\n2\n2\n3\n1\n", "abc", 9],
    ["1\n8\n3\n", "abc", 9],
    ["1\n2\n2\n", "abc", 9],
    ["1\n2\n4\n", "abc", 9],
    ["2\n7\n1\n2\n2\n", "abc", 9],
  ];
  for (const [map, stored, size] of broken) {
    refuses(sparse10(map, stored, size), "TAR_INVALID");
    refuses(sparse01(map.split("\n").slice(1, -1).join(","), stored, size), "TAR_INVALID");
  }
  for (const map of ["x\n", "-1\n", "\n", "1\n2\n", "1 2 2\n", "123456789012345678901234567890"]) {
    refuses(sparse10(map, "abc", 9), "TAR_INVALID");
  }
  for (const map of ["1", "1,2,3", "a,b", "2,,2", "2;2"]) refuses(sparse01(map, "abc", 9), "TAR_INVALID");
});

void test("TarDecoder refuses a map of PAX sparse 0.0 whose records are not in turns", () => {
  const file = headerOf({ name: "f", type: "0" });
  for (const records of [
    ["GNU.sparse.offset=1", "GNU.sparse.offset=1"],
    ["GNU.sparse.numbytes=0"],
    ["GNU.sparse.offset=1"],
    ["GNU.sparse.numblocks=1"],
  ]) {
    refuses(Buffer.concat([paxHeader(["GNU.sparse.size=5", ...records]), file]), "TAR_INVALID");
  }
});

void test("TarDecoder refuses more runs and more zeros than its limits allow", () => {
  const limits = { maxSparseSegments: 1 };
  refuses(sparse10("2\n2\n2\n7\n1\n", "abc", 9), "LIMIT_EXCEEDED", { limits });
  refuses(sparse01("2,2,7,1", "abc", 9), "LIMIT_EXCEEDED", { limits });
  refuses(
    gnuSparse(
      [
        [2, 2],
        [7, 1],
      ],
      "abc",
      9,
    ),
    "LIMIT_EXCEEDED",
    { limits },
  );
  const huge = gnuSparse([], "", 8 ** 11 - 1);
  refuses(Buffer.concat(Array<Buffer>(9).fill(huge)), "LIMIT_EXCEEDED", { limits: { maxHoleBytes: 10 } });
  const raw = decodeTar(huge, { sparse: "raw", limits: { maxHoleBytes: 10 } });
  assert.deepEqual([raw.entries[0]?.content.length, raw.entries[0]?.entry.size], [0, 8 ** 11 - 1]);
  refuses(Buffer.concat([sparse01("0,1", "a", 4), sparse01("0,1", "a", 4)]), "LIMIT_EXCEEDED", {
    limits: { maxHoleBytes: 5 },
  });
});

void test("TarDecoder refuses type S without the magic of GNU tar, and a map beyond the content", () => {
  refuses(headerOf({ name: "f", type: "S" }), "TAR_INVALID");
  const records = ["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.realsize=9"];
  refuses(
    Buffer.concat([paxHeader(records), headerOf({ name: "f", type: "0" }), payloadOf("0\n")]),
    "TAR_INVALID",
  );
});

void test("TarDecoder takes sparse files or refuses them, whatever bytes are changed", () => {
  const sources = [
    sparse10("2\n2\n2\n7\n1\n", "abc", 9),
    sparse01("2,2,7,1", "abc", 9),
    gnuSparse(
      [
        [2, 2],
        [7, 1],
      ],
      "abc",
      9,
    ),
  ];
  const interesting = fc.constantFrom(0, 10, 44, 48, 49, 55, 57, 128, 255);
  const change = fc.record({ at: fc.nat(), value: interesting });
  fc.assert(
    fc.property(
      fc.constantFrom(...sources),
      fc.array(change, { minLength: 1, maxLength: 6 }),
      (source, changes) => {
        const tar = Uint8Array.from(source);
        for (const { at, value } of changes) tar[at % tar.length] = value;
        const isHeader = (block: number): boolean => tar[block + 257] === 0x75;
        for (let block = 0; block < tar.length; block += 512) {
          if (isHeader(block)) tar.set(changeHeader(tar.subarray(block, block + 512), 0, ""), block);
        }
        try {
          for (const { entry, content } of decodeTar(tar, { limits: { maxHoleBytes: 100_000 } }).entries) {
            assert.equal(content.length, entry.size);
          }
        } catch (error) {
          assert.ok(isEsgzError(error, "TAR_INVALID") || isEsgzError(error, "LIMIT_EXCEEDED"), String(error));
        }
      },
    ),
    { numRuns: 5000 },
  );
});
