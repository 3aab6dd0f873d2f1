import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { suite, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { gunzipSync } from "node:zlib";
import { createCompressor } from "./compressor.ts";
import { MemberQueue } from "./member-queue.ts";

const MEMBER_SIZE = 64 * 1024;

/** The garbage collector, which node hides unless asked for. */
function collectorOfGarbage(): () => void {
  setFlagsFromString("--expose-gc");
  return runInNewContext("gc") as () => void;
}

function queueOf(members: readonly Uint8Array[]): MemberQueue {
  const queue = new MemberQueue({ compressor: createCompressor("zlib"), level: 1, jobs: 2 });
  for (const content of members) queue.add(content, { blobOffset: 0, blobEnd: 0 }, false);
  return queue;
}

/** Takes members and keeps nothing but weak references to their bytes. */
async function takeWeakly(queue: MemberQueue, count: number): Promise<WeakRef<ArrayBufferLike>[]> {
  const taken: WeakRef<ArrayBufferLike>[] = [];
  for (let i = 0; i < count; i += 1) taken.push(new WeakRef((await queue.take()).bytes.buffer));
  return taken;
}

suite("MemberQueue", () => {
  test("gives members in the order of their adding, and counts what it holds", async () => {
    const members = [randomBytes(MEMBER_SIZE), Buffer.from("short"), randomBytes(MEMBER_SIZE)];
    const queue = queueOf(members);
    for (const content of members) {
      assert.deepEqual(gunzipSync((await queue.take()).bytes), content);
    }
    assert.deepEqual([queue.isEmpty, queue.heldBytes], [true, 0]);
  });

  test("keeps nothing of the members that were taken while others wait", async () => {
    const collect = collectorOfGarbage();
    const queue = queueOf(Array.from({ length: 12 }, () => randomBytes(MEMBER_SIZE)));
    const taken = await takeWeakly(queue, 10);
    // A weak reference lives to the end of the turn that made it.
    await setImmediate();
    collect();
    const alive = taken.filter((reference) => reference.deref() !== undefined);
    assert.deepEqual([alive.length, queue.isEmpty], [0, false]);
  });
});
