import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseContentRange, parseRangeHeader } from "./range-header.ts";

test("parseRangeHeader() understands one range", () => {
  assert.deepEqual(parseRangeHeader("bytes=0-0", 10), { offset: 0, size: 1 });
  assert.deepEqual(parseRangeHeader("bytes=2-5", 10), { offset: 2, size: 4 });
  assert.deepEqual(parseRangeHeader("bytes=2-", 10), { offset: 2, size: 8 });
  assert.deepEqual(parseRangeHeader("bytes=2-99", 10), { offset: 2, size: 8 });
  assert.deepEqual(parseRangeHeader("bytes=-3", 10), { offset: 7, size: 3 });
  assert.deepEqual(parseRangeHeader("bytes=-99", 10), { offset: 0, size: 10 });
  assert.deepEqual(parseRangeHeader("Bytes= 1-2 ", 10), { offset: 1, size: 2 });
});

test("parseRangeHeader() tells ranges of which no byte exists", () => {
  for (const header of ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=5-2", "bytes=9999999999999999-"]) {
    assert.equal(parseRangeHeader(header, 10), "unsatisfiable", header);
  }
  assert.equal(parseRangeHeader("bytes=0-", 0), "unsatisfiable");
});

test("parseRangeHeader() lets the whole blob be sent for everything else", () => {
  const headers = [
    undefined,
    "",
    "bytes=",
    "bytes=-",
    "bytes=0-1,3-4",
    "lines=1-2",
    "bytes=a-b",
    "bytes=1-2-3",
  ];
  for (const header of headers) assert.equal(parseRangeHeader(header, 10), undefined, header);
});

test("parseRangeHeader() never leaves the blob", () => {
  const header = fc.oneof(
    fc.string(),
    fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => `bytes=${a}-${b}`),
    fc.nat().map((a) => `bytes=-${a}`),
  );
  fc.assert(
    fc.property(header, fc.nat(), (text, size) => {
      const range = parseRangeHeader(text, size);
      if (range === undefined || range === "unsatisfiable") return;
      assert.ok(range.offset >= 0 && range.size > 0 && range.offset + range.size <= size);
    }),
  );
});

test("parseContentRange() understands the protocol's form and that of HTTP", () => {
  assert.deepEqual(parseContentRange("0-9"), { offset: 0, size: 10 });
  assert.deepEqual(parseContentRange("bytes 10-10/20"), { offset: 10, size: 1 });
  assert.deepEqual(parseContentRange("bytes 10-19/*"), { offset: 10, size: 10 });
  assert.equal(parseContentRange(undefined), undefined);
});

test("parseContentRange() refuses nonsense with 416", () => {
  for (const header of ["", "5-4", "a-b", "-5", "5-", "bytes */10"]) {
    assert.throws(() => parseContentRange(header), { code: "BLOB_UPLOAD_INVALID", status: 416 }, header);
  }
});
