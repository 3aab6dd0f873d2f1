import assert from "node:assert/strict";
import { test } from "node:test";
import { Crc64 } from "./crc64.ts";

function checksum(...parts: readonly string[]): string {
  const crc = new Crc64();
  for (const part of parts) crc.update(Buffer.from(part));
  return Buffer.from(crc.digest()).toString("hex");
}

test("Crc64 gives the check value of CRC-64/GO-ISO", () => {
  assert.equal(checksum("123456789"), "b90956c775a41001");
});

test("Crc64 gives what Go's hash/crc64 gives, in any number of parts", () => {
  assert.equal(checksum(), "0000000000000000");
  assert.equal(checksum("a"), "3420000000000000");
  assert.equal(checksum("abc", "", "defghij"), "7f5b6e21b002d367");
  assert.equal(checksum("members and frames ".repeat(100)), "0beba711e0176b5b");
});
