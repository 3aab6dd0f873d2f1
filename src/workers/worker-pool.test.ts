import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Clock } from "../async/index.ts";
import type { ArithmeticJob, ArithmeticResult } from "./arithmetic-worker.fixture.ts";
import { programBeside, WorkerPool, type WorkerPoolOptions } from "./index.ts";

type Options = Partial<WorkerPoolOptions<number>>;

function openPool(options: Options = {}): WorkerPool<number, ArithmeticJob, ArithmeticResult> {
  const program = programBeside(import.meta.url, "./arithmetic-worker.fixture");
  return new WorkerPool({ program, start: 100, threads: 2, name: "arithmetic", ...options });
}

/** A clock whose sleeps end when the test says so. */
class HeldClock implements Clock {
  readonly sleeps: { readonly ms: number; readonly wake: () => void; readonly aborted: () => boolean }[] = [];
  nowMs(): number {
    return 0;
  }
  wallMs(): number {
    return 0;
  }
  async sleep(ms: number, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    await new Promise<void>((wake) => {
      this.sleeps.push({ ms, wake, aborted: () => signal?.aborted === true });
    });
  }
}

describe("WorkerPool", () => {
  test("starts threads when there is work, and no more than are needed", async () => {
    await using pool = openPool();
    assert.equal(pool.liveThreads, 0);
    assert.equal(await pool.run({ kind: "add", value: 1 }), 101);
    assert.equal(await pool.run({ kind: "add", value: 1 }), 102);
    assert.equal(pool.liveThreads, 1);
    const threads = await Promise.all([0, 1, 2, 3].map(async () => await pool.run({ kind: "thread" })));
    assert.equal(new Set(threads).size, 2);
  });

  test("does the jobs of one thread in their order, also where they wait", async () => {
    await using pool = openPool();
    const sums = [1, 2, 3].map(async (value) => await pool.runOn(1, { kind: "add", value }));
    assert.deepEqual(await Promise.all(sums), [101, 103, 106]);
    assert.deepEqual(await pool.runOnAll({ kind: "add", value: 0 }), [100, 106]);
  });

  test("rejects with the code that a job failed with", async () => {
    await using pool = openPool({ threads: 1 });
    await assert.rejects(async () => await pool.run({ kind: "fail", how: "esgz" }), {
      code: "DIGEST_MISMATCH",
      message: "Cannot add",
      details: { value: 7 },
    });
    await assert.rejects(async () => await pool.run({ kind: "fail", how: "full" }), {
      code: "NO_SPACE",
      message: "Cannot add number: no room",
    });
  });

  test("replaces a thread that died", async () => {
    await using pool = openPool({ threads: 1 });
    const died = pool.run({ kind: "fail", how: "die" });
    await assert.rejects(died, { code: "INTERNAL" });
    assert.equal(await pool.run({ kind: "add", value: 5 }), 105);
  });

  test("hands memory over instead of copying it", async () => {
    await using pool = openPool();
    const bytes = Uint8Array.of(1, 2, 3);
    const done = pool.run({ kind: "take", bytes }, { transfer: [bytes.buffer] });
    assert.equal(bytes.length, 0);
    assert.deepEqual(await done, Uint8Array.of(2, 3, 4));
  });

  test("has threads collect their garbage when no job follows", async () => {
    await using pool = openPool({ threads: 1 });
    const look = async (): Promise<ArithmeticResult> => await pool.run({ kind: "look" });
    assert.deepEqual(await Promise.all([pool.run({ kind: "litter" }), look()]), [0, 1]);
    // Looking makes too little for the engine to collect anything by itself.
    for (let tries = 0; (await look()) !== 0; tries += 1) {
      assert.ok(tries < 100);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  test("ends its threads after the idle time, and starts them again", async () => {
    const clock = new HeldClock();
    await using pool = openPool({ idle: { afterMs: 1234, clock } });
    await pool.run({ kind: "add", value: 1 });
    assert.equal(clock.sleeps.length, 1);
    await pool.run({ kind: "add", value: 1 });
    assert.equal(clock.sleeps[0]?.aborted(), true);
    assert.equal(clock.sleeps[1]?.ms, 1234);
    clock.sleeps[1].wake();
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(pool.liveThreads, 0);
    assert.equal(await pool.run({ kind: "add", value: 1 }), 101);
  });

  test("keeps as many threads after the idle time as it is told to", async () => {
    const clock = new HeldClock();
    let kept = 1;
    await using pool = openPool({ idle: { afterMs: 1, clock, keep: () => kept } });
    const passIdleTime = async (): Promise<void> => {
      clock.sleeps.at(-1)?.wake();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await Promise.all([0, 1].map(async (value) => await pool.run({ kind: "add", value })));
    assert.equal(pool.liveThreads, 2);
    await passIdleTime();
    assert.equal(pool.liveThreads, 1);
    assert.equal(await pool.run({ kind: "add", value: 1 }), 101);
    assert.equal(pool.liveThreads, 1);
    kept = 0;
    await passIdleTime();
    assert.equal(pool.liveThreads, 0);
  });

  test("does urgent jobs before others that wait", async () => {
    await using pool = openPool({ threads: 1, queueDepth: 1 });
    const order: string[] = [];
    const note = async (name: string, urgent: boolean): Promise<void> => {
      await pool.run({ kind: "add", value: 1 }, { urgent });
      order.push(name);
    };
    await Promise.all([note("first", false), note("second", false), note("urgent", true)]);
    assert.deepEqual(order, ["first", "urgent", "second"]);
  });

  test("rejects what waits when it is disposed of", async () => {
    const pool = openPool({ threads: 1 });
    const jobs = [1, 2, 3, 4].map(async (value) => await pool.run({ kind: "add", value }));
    const outcomes = Promise.allSettled(jobs);
    assert.equal(pool.queueLength, 2);
    await pool[Symbol.asyncDispose]();
    assert.ok((await outcomes).every((outcome) => outcome.status === "rejected"));
    await assert.rejects(async () => await pool.run({ kind: "thread" }), { code: "ABORTED" });
  });
});
