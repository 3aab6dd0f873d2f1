import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseNextLink } from "./link-header.ts";

test("parseNextLink() finds the next page among links", () => {
  assert.equal(parseNextLink(['</v2/a/tags/list?last=b&n=2>; rel="next"']), "/v2/a/tags/list?last=b&n=2");
  assert.equal(
    parseNextLink(['<https://x/1>; rel="prev", <https://x/3,4>; title="a, b"; rel=next']),
    "https://x/3,4",
  );
  assert.equal(parseNextLink(["<x>; rel=last", '<y>; REL="start NEXT"']), "y");
});

test("parseNextLink() gives nothing where there is no next page", () => {
  for (const value of ["", "<x>", "<x>; rel=prev", "x; rel=next", '<>; rel="next"', '<x; rel="next"']) {
    assert.equal(parseNextLink([value]), undefined, value);
  }
});

test("parseNextLink() takes any text in bounded time", () => {
  const noise = fc.string({ unit: fc.constantFrom(...'<>;, rel=next"x'.split("")), maxLength: 2000 });
  fc.assert(fc.property(fc.array(noise, { maxLength: 3 }), (values) => void parseNextLink(values)));
  assert.equal(parseNextLink(["<".repeat(16_000)]), undefined);
  assert.equal(parseNextLink([`<a>${';"'.repeat(8_000)}`.slice(0, 16_000)]), undefined);
});
