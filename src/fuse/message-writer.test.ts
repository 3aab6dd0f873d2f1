import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHex } from "../bytes/index.ts";
import { MessageWriter } from "./message-writer.ts";

test("a MessageWriter grows in the middle of any field", () => {
  for (const capacity of [0, 1, 2, 3, 5, 9, 13, 21, 29, 37]) {
    const writer = new MessageWriter(capacity);
    writer
      .u16(0x0102)
      .u32(0x03040506)
      .i32(-2)
      .u64(2 ** 40)
      .i64(-1)
      .big64(5n)
      .zeros(2)
      .bytes(Uint8Array.of(9));
    assert.equal(
      encodeHex(writer.written()),
      "020106050403feffffff0000000000010000ffffffffffffffff0500000000000000000009",
      `capacity ${capacity}`,
    );
  }
});

test("a MessageWriter begins again after reset(), without what was there", () => {
  const writer = new MessageWriter(8);
  writer.u64(2 ** 53 - 1);
  writer.reset();
  assert.equal(encodeHex(writer.u32(1).zeros(4).written()), "0100000000000000");
});

test("a MessageWriter refuses names with a zero byte", () => {
  assert.throws(() => new MessageWriter().terminated(Uint8Array.of(1, 0, 2)), { code: "FUSE_INVALID" });
});
