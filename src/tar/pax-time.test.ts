import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePaxTime, encodePaxTime } from "./pax-time.ts";

void test("decodePaxTime() rounds down to the nanosecond, before 1970 too", () => {
  const cases: Readonly<Record<string, readonly [number, number]>> = {
    "0": [0, 0],
    "-0": [0, 0],
    "1700000000.75": [1700000000, 750000000],
    "1.0000000019": [1, 1],
    "-1": [-1, 0],
    "-1.5": [-2, 500000000],
    "-0.000000001": [-1, 999999999],
    "-0.0000000001": [-1, 999999999],
    "-1.9999999999": [-2, 0],
    "12.": [12, 0],
  };
  for (const [text, [seconds, nanoseconds]] of Object.entries(cases)) {
    assert.deepEqual(decodePaxTime(text), { seconds, nanoseconds }, text);
  }
});

void test("decodePaxTime() refuses what is no decimal number", () => {
  for (const text of ["", "-", ".5", "1e3", "+1", " 1", "1,5", "--1", "0x1", "9".repeat(17), "NaN"]) {
    assert.equal(decodePaxTime(text), undefined, text);
  }
});

void test("encodePaxTime() is the inverse of decodePaxTime()", () => {
  assert.equal(encodePaxTime({ seconds: -2, nanoseconds: 500000000 }), "-1.5");
  assert.equal(encodePaxTime({ seconds: -1, nanoseconds: 999999999 }), "-0.000000001");
  const time = fc.record(
    {
      seconds: fc.maxSafeInteger().map((seconds) => seconds || 0),
      nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(fc.property(time, (value) => assert.deepEqual(decodePaxTime(encodePaxTime(value)), value)));
});
