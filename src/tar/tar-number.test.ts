import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeTarNumber, encodeOctal, maxOctal } from "./tar-number.ts";

function decode(...bytes: readonly number[]): number | undefined {
  return decodeTarNumber(Uint8Array.from(bytes), 0, bytes.length);
}

function decodeOctalText(text: string): number | undefined {
  return decode(...Buffer.from(text, "latin1"));
}

void test("decodeTarNumber() reads octal with spaces and NULs around it", () => {
  assert.equal(decodeOctalText("0000644\0"), 0o644);
  assert.equal(decodeOctalText("   644 \0"), 0o644);
  assert.equal(decodeOctalText("77777777"), 0o77777777);
  assert.equal(decodeOctalText("\0\0\0\0\0\0\0\0"), 0);
  assert.equal(decodeOctalText("        "), 0);
});

void test("decodeTarNumber() refuses what is not octal", () => {
  for (const text of ["0000648\0", "-0000644", "0x644000", "abcdefgh"])
    assert.equal(decodeOctalText(text), undefined);
});

void test("decodeTarNumber() reads base-256, negative too", () => {
  assert.equal(decode(0x80, 0, 0, 0, 0, 0, 1, 0), 256);
  assert.equal(decode(0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0), 8_589_934_592);
  assert.equal(decode(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), -1);
  assert.equal(decode(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0), -256);
});

void test("decodeTarNumber() refuses numbers that are no safe integers", () => {
  assert.equal(decode(0x80, 0x20, 0, 0, 0, 0, 0, 0), undefined);
  assert.equal(decode(0xbf, ...Array<number>(11).fill(0xff)), undefined);
  assert.equal(decode(0xc0, ...Array<number>(11).fill(0)), undefined);
});

void test("encodeOctal() fills its field up to the NUL", () => {
  const block = new Uint8Array(12).fill(0xff);
  encodeOctal(block, 1, { size: 8, value: 0o644 });
  assert.equal(Buffer.from(block).toString("latin1"), "\xff0000644\0\xff\xff\xff");
  assert.equal(maxOctal(8), 2_097_151);
  assert.equal(maxOctal(12), 8_589_934_591);
});
