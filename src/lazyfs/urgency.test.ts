import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";
import { test } from "node:test";
import { Semaphore } from "../async/index.ts";
import { Urgency } from "./urgency.ts";

const never = new AbortController().signal;

test("Urgency.waitCalmly() gives the share that comes", async () => {
  const [urgency, lane] = [new Urgency(), new Semaphore(1)];
  const permit = await urgency.waitCalmly((signal) => lane.acquire({ signal }), never);
  assert.equal(lane.free, 0);
  permit?.release();
  assert.equal(lane.free, 1);
});

test("Urgency.waitCalmly() waits no more when somebody waits, and keeps nothing", async () => {
  const [urgency, lane] = [new Urgency(), new Semaphore(1)];
  const held = await lane.acquire();
  const waiting = urgency.waitCalmly((signal) => lane.acquire({ signal }), never);
  await setImmediate();
  assert.equal(urgency.isRaised, false);
  urgency.raise();
  urgency.raise();
  assert.equal(await waiting, undefined);
  assert.equal(urgency.isRaised, true);
  await urgency.raised;
  held.release();
  assert.equal(lane.free, 1);
});

test("Urgency.waitCalmly() gives a share back that comes too late", async () => {
  const urgency = new Urgency();
  const late = Promise.withResolvers<{ release(): void }>();
  const waiting = urgency.waitCalmly(() => late.promise, never);
  urgency.raise();
  assert.equal(await waiting, undefined);
  const released = Promise.withResolvers<void>();
  late.resolve({ release: released.resolve });
  await released.promise;
});

test("Urgency.waitCalmly() rejects with the reason of the signal, and lets no failure go unhandled", async () => {
  const [urgency, lane] = [new Urgency(), new Semaphore(1)];
  await lane.acquire();
  const ending = new AbortController();
  const waiting = urgency.waitCalmly((signal) => lane.acquire({ signal }), ending.signal);
  ending.abort(new Error("over"));
  await assert.rejects(waiting, /^Error: over$/);
  await assert.rejects(
    urgency.waitCalmly(() => Promise.reject(new Error("none")), never),
    /^Error: none$/,
  );
  const late = Promise.withResolvers<{ release(): void }>();
  const raised = urgency.waitCalmly(() => late.promise, never);
  urgency.raise();
  assert.equal(await raised, undefined);
  // A rejection that nobody takes would end the test.
  late.reject(new Error("too late"));
  await setImmediate();
});
