import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { formatRfc3339, parseRfc3339 } from "./rfc3339.ts";

suite("parseRfc3339()", () => {
  const cases: [string, number, number][] = [
    ["2023-11-14T22:13:20Z", 1_700_000_000, 0],
    ["2023-11-14T22:13:20.75Z", 1_700_000_000, 750_000_000],
    ["2023-11-14T23:13:20.000000001+01:00", 1_700_000_000, 1],
    ["1969-12-31T23:59:59.5Z", -1, 500_000_000],
    ["2000-02-29T00:00:00Z", 951_782_400, 0],
    ["0001-01-01T00:00:00Z", 0, 0],
    ["9999-12-31T23:59:59Z", 253_402_300_799, 0],
  ];
  for (const [text, seconds, nanoseconds] of cases) {
    test(`reads ${text}`, () => {
      assert.deepEqual(parseRfc3339(text), { seconds, nanoseconds });
    });
  }

  for (const text of [
    "",
    "2023",
    "2023-13-01T00:00:00Z",
    "2023-01-01T24:00:00Z",
    "2023-01-01 00:00:00Z",
    "x",
  ]) {
    test(`has no value for ${JSON.stringify(text)}`, () => {
      assert.equal(parseRfc3339(text), undefined);
    });
  }
});

suite("formatRfc3339()", () => {
  test("writes whole seconds without a fraction", () => {
    assert.equal(formatRfc3339({ seconds: 1_700_000_000, nanoseconds: 0 }), "2023-11-14T22:13:20Z");
  });

  test("writes nanoseconds without trailing zeros", () => {
    assert.equal(formatRfc3339({ seconds: -1, nanoseconds: 500_000_000 }), "1969-12-31T23:59:59.5Z");
  });

  test("writes the nearest time for what four digits of year cannot say", () => {
    assert.equal(formatRfc3339({ seconds: 2 ** 50, nanoseconds: 5 }), "9999-12-31T23:59:59Z");
    assert.equal(formatRfc3339({ seconds: -(2 ** 50), nanoseconds: 5 }), "0001-01-01T00:00:01Z");
  });

  test("is undone by parseRfc3339()", () => {
    const time = fc.record({
      seconds: fc.integer({ min: -62_135_596_799, max: 253_402_300_799 }),
      nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
    });
    fc.assert(
      fc.property(time, (value) => assert.deepEqual(parseRfc3339(formatRfc3339(value)), { ...value })),
    );
  });
});
