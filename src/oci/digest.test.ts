import assert from "node:assert/strict";
import { test } from "node:test";
import { hexOf, isDigest, parseDigest } from "./digest.ts";

test("parseDigest() takes the three algorithms at their lengths", () => {
  for (const [algorithm, length] of [
    ["sha256", 64],
    ["sha384", 96],
    ["sha512", 128],
  ] as const) {
    assert.equal(hexOf(parseDigest(`${algorithm}:${"b".repeat(length)}`)), "b".repeat(length));
  }
});

test("parseDigest() refuses everything else", () => {
  const wrong = [
    "",
    "sha256:",
    `sha256:${"A".repeat(64)}`,
    `sha256:${"a".repeat(63)}`,
    `md5:${"a".repeat(32)}`,
    7,
    null,
  ];
  for (const text of wrong) {
    assert.equal(isDigest(text), false);
    assert.throws(() => parseDigest(text), { code: "DIGEST_INVALID" });
  }
});
