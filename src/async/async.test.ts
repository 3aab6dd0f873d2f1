import assert from "node:assert/strict";
import { test } from "node:test";
import { Channel } from "./channel.ts";
import type { Clock } from "./clock.ts";
import { KeyLocks } from "./key-locks.ts";
import { mapConcurrent } from "./map-concurrent.ts";
import { retry, type RetryOptions } from "./retry.ts";
import { Semaphore } from "./semaphore.ts";
import { SingleFlight } from "./single-flight.ts";

/** A clock whose sleeps end at once and are written down. */
class FakeClock implements Clock {
  readonly sleeps: number[] = [];
  #now = 0;
  nowMs(): number {
    return this.#now;
  }
  wallMs(): number {
    return this.#now;
  }
  async sleep(ms: number): Promise<void> {
    this.sleeps.push(ms);
    this.#now += ms;
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("Semaphore lets at most its capacity through, the highest priority first", async () => {
  const semaphore = new Semaphore(1);
  const first = await semaphore.acquire();
  const order: string[] = [];
  const waiters = (["low", "high", "low2"] as const).map(async (name) => {
    using _permit = await semaphore.acquire({ priority: name === "high" ? 5 : 0 });
    order.push(name);
  });
  await turn();
  assert.deepEqual(order, []);
  first.release();
  first.release();
  await Promise.all(waiters);
  assert.deepEqual(order, ["high", "low", "low2"]);
  assert.equal(semaphore.free, 1);
});

test("Semaphore.acquire() rejects with the reason of its signal and gives its place away", async () => {
  const semaphore = new Semaphore(2);
  const held = await semaphore.acquire({ weight: 2 });
  const controller = new AbortController();
  const waiting = semaphore.acquire({ weight: 2, signal: controller.signal });
  const small = semaphore.acquire();
  controller.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
  held.release();
  (await small).release();
  assert.equal(semaphore.free, 2);
});

test("mapConcurrent() keeps the order and the bound", async () => {
  let running = 0;
  let most = 0;
  const work = async (item: number): Promise<number> => {
    running += 1;
    most = Math.max(most, running);
    await turn();
    running -= 1;
    return item * 2;
  };
  assert.deepEqual(await mapConcurrent([1, 2, 3, 4, 5], work, { concurrency: 2 }), [2, 4, 6, 8, 10]);
  assert.equal(most, 2);
});

test("mapConcurrent() aborts the others on a failure and waits for them", async () => {
  const ended: string[] = [];
  const work = async (item: string, { signal }: { signal: AbortSignal }): Promise<void> => {
    if (item === "bad") throw new Error("bad item");
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    ended.push(item);
  };
  await assert.rejects(mapConcurrent(["slow", "bad", "never"], work, { concurrency: 2 }), /bad item/);
  assert.deepEqual(ended, ["slow"]);
});

test("Channel holds its producer back and ends its consumer", async () => {
  const channel = new Channel<number | undefined>(2);
  let sent = 0;
  const producer = (async () => {
    for (const value of [1, undefined, 3, 4, 5]) {
      await channel.send(value);
      sent += 1;
    }
    channel.end();
  })();
  await turn();
  assert.equal(sent, 2);
  const got: (number | undefined)[] = [];
  for await (const value of channel) got.push(value);
  await producer;
  assert.deepEqual(got, [1, undefined, 3, 4, 5]);
});

test("Channel rejects the producer of a consumer that has stopped", async () => {
  const channel = new Channel<number>(1);
  await channel.send(1);
  for await (const _value of channel) break;
  await assert.rejects(channel.send(2), /stopped/);
});

test("Channel.fail() reaches both ends", async () => {
  const channel = new Channel<number>(1);
  await channel.send(1);
  const blocked = channel.send(2);
  channel.fail(new Error("broken"));
  await assert.rejects(blocked, /broken/);
  await assert.rejects(async () => {
    for await (const _value of channel);
  }, /broken/);
});

function retryOptions(clock: Clock, more: Partial<RetryOptions> = {}): RetryOptions {
  const policy = { attempts: 5, firstDelayMs: 100, maxDelayMs: 1000, deadlineMs: 10_000 };
  return { policy, clock, random: () => 0.5, judge: () => ({ again: true }), ...more };
}

test("retry() doubles its pauses and gives up after its attempts", async () => {
  const clock = new FakeClock();
  let tries = 0;
  const work = async (): Promise<never> => {
    tries += 1;
    throw new Error(`try ${tries}`);
  };
  await assert.rejects(retry(work, retryOptions(clock)), /try 5/);
  assert.deepEqual(clock.sleeps, [75, 150, 300, 600]);
});

test("retry() waits as long as it is told to, but not past its deadline", async () => {
  const clock = new FakeClock();
  const work = async (attempt: number): Promise<string> => {
    if (attempt < 1) throw new Error("later");
    return "done";
  };
  const told = (afterMs: number): RetryOptions =>
    retryOptions(clock, { judge: () => ({ again: true, afterMs }) });
  assert.equal(await retry(work, told(7000)), "done");
  assert.deepEqual(clock.sleeps, [7000]);
  await assert.rejects(retry(work, told(11_000)), /later/);
});

test("KeyLocks runs work on one key in order, failures included, and other keys meanwhile", async () => {
  const locks = new KeyLocks<string>();
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const work = async (name: string, until?: Promise<void>): Promise<string> => {
    log.push(`begin ${name}`);
    await until;
    log.push(`end ${name}`);
    if (name === "two") throw new Error("two failed");
    return name;
  };
  const all = [
    locks.run(["a"], () => work("one", first.promise)),
    locks.run(["b", "a", "b"], () => work("two")),
    locks.run(["b"], () => work("three")),
    locks.run(["c"], () => work("four")),
  ];
  let isSettled = false;
  const settled = locks.settled().then(() => (isSettled = true));
  await turn();
  assert.deepEqual([log, isSettled], [["begin one", "begin four", "end four"], false]);
  first.resolve();
  const outcomes = await Promise.allSettled(all);
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value : String(outcome.reason))),
    ["one", "Error: two failed", "three", "four"],
  );
  assert.deepEqual(log.slice(3), ["end one", "begin two", "end two", "begin three", "end three"]);
  await settled;
  await locks.settled();
});

test("SingleFlight joins calls of one key and forgets them afterwards", async () => {
  const flights = new SingleFlight<string, number>();
  let runs = 0;
  const work = async (): Promise<number> => {
    runs += 1;
    await turn();
    return runs;
  };
  assert.deepEqual(
    await Promise.all([flights.run("a", work), flights.run("a", work), flights.run("b", work)]),
    [2, 2, 2],
  );
  assert.equal(await flights.run("a", work), 3);
  assert.equal(flights.size, 0);
});
