import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readInt64, readUint64, writeUint64 } from "./uint64.ts";

test("writeUint64() writes what BigInts write, and both readers read it back", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      const view = new DataView(new ArrayBuffer(8));
      writeUint64(view, 0, value);
      assert.equal(view.getBigInt64(0, true), BigInt(value));
      assert.equal(readInt64(view, 0), value);
      if (value >= 0) assert.equal(readUint64(view, 0), value);
    }),
    { examples: [[-1], [-(2 ** 32)], [2 ** 32], [Number.MIN_SAFE_INTEGER]] },
  );
});
