import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeFrame, FrameDecoder } from "./message-frame.ts";

function decode(...pieces: readonly (readonly number[])[]): number[] {
  const decoder = new FrameDecoder();
  for (const piece of pieces) decoder.push(Uint8Array.from(piece));
  return [...decoder.end()];
}

test("encodeFrame() puts a flag and a big-endian size in front", () => {
  assert.deepEqual([...encodeFrame(Uint8Array.of(7, 8, 9))], [0, 0, 0, 0, 3, 7, 8, 9]);
  assert.deepEqual([...encodeFrame(new Uint8Array(258)).subarray(0, 5)], [0, 0, 0, 1, 2]);
  assert.throws(() => encodeFrame(new Uint8Array((16 << 20) + 1)), { code: Code.ResourceExhausted });
});

test("FrameDecoder takes a message in whatever pieces it comes", () => {
  assert.deepEqual(decode([0, 0, 0, 0, 3, 7, 8, 9]), [7, 8, 9]);
  assert.deepEqual(decode([0, 0], [], [0, 0, 3, 7], [8], [9]), [7, 8, 9]);
  assert.deepEqual(decode([0, 0, 0, 0, 0]), []);
});

test("FrameDecoder refuses a message that is too long when its size is known", () => {
  const decoder = new FrameDecoder();
  decoder.push(Uint8Array.of(0, 1));
  assert.throws(() => decoder.push(Uint8Array.of(0, 0, 1)), { code: Code.ResourceExhausted });
});

test("FrameDecoder refuses compressed, second, missing and unfinished messages", () => {
  assert.throws(() => decode([1, 0, 0, 0, 0]), { code: Code.Unimplemented });
  assert.throws(() => decode([0, 0, 0, 0, 0], [0, 0, 0, 0, 0]), { code: Code.Unimplemented });
  assert.throws(() => decode([]), { code: Code.Unimplemented });
  assert.throws(() => decode([0, 0]), { code: Code.Internal });
  assert.throws(() => decode([0, 0, 0, 0, 2, 1]), { code: Code.Internal });
});

test("FrameDecoder has a message or a status for any bytes", () => {
  const pieces = fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 4 });
  fc.assert(
    fc.property(pieces, (some) => {
      try {
        const bytes = Buffer.concat(some);
        assert.equal(decode(...some.map((piece) => [...piece])).length, bytes.readUInt32BE(1));
      } catch (error) {
        assert.ok(error instanceof ConnectError);
      }
    }),
  );
});
