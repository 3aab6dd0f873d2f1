import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeRangeHeader,
  parseContentLength,
  parseContentRange,
  parseUploadRange,
} from "./content-range.ts";

test("encodeRangeHeader() names the first and the last byte", () => {
  assert.equal(encodeRangeHeader({ offset: 0, size: 1 }), "bytes=0-0");
  assert.equal(encodeRangeHeader({ offset: 100, size: 50 }), "bytes=100-149");
});

test("parseContentRange() reads what servers send", () => {
  assert.deepEqual(parseContentRange("bytes 0-499/1234"), { offset: 0, size: 500, total: 1234 });
  assert.deepEqual(parseContentRange(" Bytes 7-7/* "), { offset: 7, size: 1, total: undefined });
});

test("parseContentRange() rejects what is no consistent range", () => {
  const wrong = [
    "bytes */100",
    "bytes 5-4/10",
    "bytes 0-10/10",
    "bytes 0-1",
    "items 0-1/2",
    "0-1/2",
    "bytes -1-2/3",
  ];
  for (const text of [...wrong, "bytes 0-9007199254740991/*", "bytes 0-1/2, bytes 3-4/5"]) {
    assert.equal(parseContentRange(text), undefined, text);
  }
  assert.equal(parseContentRange(undefined), undefined);
});

test("parseContentRange() gives ranges inside their total, or nothing, for any text", () => {
  const likely = fc
    .tuple(fc.nat(), fc.nat(), fc.option(fc.nat()))
    .map(([a, b, c]) => `bytes ${a}-${b}/${c ?? "*"}`);
  fc.assert(
    fc.property(fc.oneof(fc.string(), likely), (text) => {
      const range = parseContentRange(text);
      if (range === undefined) return;
      assert.ok(range.size > 0 && range.offset >= 0);
      assert.ok(range.total === undefined || range.offset + range.size <= range.total);
    }),
  );
});

test("parseUploadRange() counts the bytes of a session", () => {
  assert.equal(parseUploadRange("0-1023"), 1024);
  assert.equal(parseUploadRange("bytes=0-9"), 10);
  assert.equal(parseUploadRange("0-0"), 0);
  assert.equal(parseUploadRange("0--1"), 0);
  assert.equal(parseUploadRange(undefined), 0);
  for (const text of ["5-9", "0-", "0--5", "abc", "0-9999999999999999"]) {
    assert.equal(parseUploadRange(text), undefined, text);
  }
});

test("parseContentLength() takes plain decimal numbers only", () => {
  assert.equal(parseContentLength("0"), 0);
  assert.equal(parseContentLength("123"), 123);
  for (const text of [undefined, "", "-1", "1e3", "0x10", "99999999999999999"]) {
    assert.equal(parseContentLength(text), undefined);
  }
});
