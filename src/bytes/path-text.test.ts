import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePathText, encodePathText, hasEscapedBytes } from "./path-text.ts";

test("decodePathText() escapes the bytes that are not UTF-8", () => {
  assert.equal(decodePathText(Uint8Array.of(0x61, 0xff, 0xfe, 0x62)), "a\udcff\udcfeb");
  assert.equal(decodePathText(Uint8Array.of(0xc3, 0xa4)), "ä");
  assert.equal(decodePathText(Uint8Array.of(0xed, 0xa0, 0x80)), "\udced\udca0\udc80");
  assert.equal(decodePathText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61)), "\ufeffa");
});

test("encodePathText() is the inverse of decodePathText() for any bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      assert.deepEqual(encodePathText(decodePathText(bytes)), Uint8Array.from(bytes));
    }),
  );
});

test("hasEscapedBytes() tells names that are not UTF-8", () => {
  assert.equal(hasEscapedBytes("ä😀"), false);
  assert.equal(hasEscapedBytes("a\udcff"), true);
});
