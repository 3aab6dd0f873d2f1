import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { decodePaxRecords, encodePaxRecords } from "./pax-record.ts";

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

void test("decodePaxRecords() takes newlines, equals signs and any byte in values", () => {
  const records = decodePaxRecords(bytes("8 a=\xff\n\0\n6 b==\n5 c=\n"), 0);
  assert.deepEqual(
    records.map(({ key, value }) => [key, Buffer.from(value).toString("latin1")]),
    [
      ["a", "\xff\n\0"],
      ["b", "="],
      ["c", ""],
    ],
  );
});

void test("decodePaxRecords() refuses broken records", () => {
  const broken = [
    "a",
    "5 a=",
    "6 a=\n",
    "4 a=\n",
    "5 =a\n",
    "4 a\n",
    "0 a=\n",
    "-5 a=\n",
    " 5 a=\n",
    "5 a=\n\0",
    "99999999999 a=\n",
    "5",
  ];
  for (const text of broken) {
    assert.throws(
      () => decodePaxRecords(bytes(text), 0),
      (error) => isEsgzError(error, "TAR_INVALID"),
      text,
    );
  }
});

void test("encodePaxRecords() counts the digits of the length in the length", () => {
  for (const [size, length] of [
    [1, 6],
    [4, 9],
    [5, 11],
    [92, 98],
    [93, 99],
    [94, 101],
    [991, 998],
    [993, 1001],
  ] as const) {
    const encoded = encodePaxRecords([{ key: "a", value: new Uint8Array(size) }]);
    assert.equal(encoded.length, length);
    assert.equal(Buffer.from(encoded).toString("latin1").split(" ")[0], String(length));
  }
});

void test("decodePaxRecords() is the inverse of encodePaxRecords()", () => {
  const record = fc.record(
    {
      key: fc.string({ unit: "grapheme", minLength: 1 }).filter((key) => !key.includes("=")),
      value: fc.uint8Array({ maxLength: 1100 }),
    },
    { noNullPrototype: true },
  );
  fc.assert(
    fc.property(fc.array(record), (records) =>
      assert.deepEqual(decodePaxRecords(encodePaxRecords(records), 0), records),
    ),
  );
});
