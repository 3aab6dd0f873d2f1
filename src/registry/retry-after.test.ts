import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseRetryAfter } from "./retry-after.ts";

const NOON = Date.UTC(2026, 10, 21, 12, 0, 0);

test("parseRetryAfter() reads seconds and dates", () => {
  assert.equal(parseRetryAfter("120", NOON), 120_000);
  assert.equal(parseRetryAfter("0", NOON), 0);
  assert.equal(parseRetryAfter("Sat, 21 Nov 2026 12:00:30 GMT", NOON), 30_000);
  assert.equal(parseRetryAfter("Sat, 21 Nov 2026 11:00:00 GMT", NOON), 0);
});

test("parseRetryAfter() leaves what it cannot read", () => {
  for (const text of [undefined, "", "-1", "1.5", "soon", "2026-11-21", "Sat, 99 Xyz 2026 12:00:30 GMT"]) {
    assert.equal(parseRetryAfter(text, NOON), undefined);
  }
});

test("parseRetryAfter() never gives a negative pause", () => {
  fc.assert(fc.property(fc.string(), (text) => assert.ok((parseRetryAfter(text, NOON) ?? 0) >= 0)));
});
