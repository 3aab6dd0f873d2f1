import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../bytes/index.ts";
import { crc32cRegister } from "./crc32c.ts";

test("crc32cRegister() is the inverted check value of CRC-32C", () => {
  // The check value of CRC-32/ISCSI is E3069283.
  assert.equal(crc32cRegister(encodeUtf8("123456789")), ~0xe3069283 >>> 0);
});
