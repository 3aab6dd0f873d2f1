import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTocPlaces, parseTocPlaces } from "./toc-place.ts";

test("formatTocPlaces() and parseTocPlaces() are inverse", () => {
  const places = [
    { offset: 0, blobSize: 1 },
    { offset: 999_999_999_999_998, blobSize: 999_999_999_999_999 },
  ];
  assert.equal(formatTocPlaces(places), "0/1,999999999999998/999999999999999");
  assert.deepEqual(parseTocPlaces(formatTocPlaces(places)), places);
  assert.deepEqual(parseTocPlaces(formatTocPlaces([])), []);
});

test("parseTocPlaces() reads as far as there are places in blobs", () => {
  const [first] = [{ offset: 3, blobSize: 4 }];
  for (const text of [
    undefined,
    "",
    "3",
    "3/",
    "/4",
    "4/4",
    "5/4",
    "-3/4",
    "3/4/5",
    " 3/4",
    "3/1e9",
    "3/4,",
  ]) {
    assert.deepEqual(parseTocPlaces(text), text === "3/4," ? [first] : [], String(text));
  }
  for (const text of ["3/4,x,3/4", "3/4,4/3,3/4", `3/4,${"9".repeat(16)}/4`, `3/4,1/${"9".repeat(16)}`]) {
    assert.deepEqual(parseTocPlaces(text), [first], text);
  }
});

test("a list fits into a label of containerd, however many layers there are", () => {
  const many = Array.from({ length: 127 }, () => ({ offset: 999_999_999_999, blobSize: 1_999_999_999_999 }));
  const text = formatTocPlaces(many);
  assert.ok(text.length < 4000, `${text.length} bytes`);
  assert.equal(parseTocPlaces(text).length, 100);
  assert.equal(parseTocPlaces(`${text},${text}`).length, 100);
});
