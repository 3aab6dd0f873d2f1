import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteQueue } from "./byte-queue.ts";

test("ByteQueue gives back the bytes it got, whatever the sizes of the pieces", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 9 })), fc.array(fc.nat(12)), (parts, takes) => {
      const queue = new ByteQueue();
      for (const part of parts) queue.push(part);
      const found: number[] = [];
      for (const take of takes) found.push(...(queue.take(take) ?? []));
      while (queue.size > 0) found.push(...queue.takeSome(5));
      assert.deepEqual(
        found,
        parts.flatMap((part) => [...part]),
      );
    }),
  );
});

test("ByteQueue.take() gives nothing while there is too little", () => {
  const queue = new ByteQueue();
  queue.push(Uint8Array.of(1, 2));
  assert.equal(queue.take(3), undefined);
  assert.equal(queue.size, 2);
});
