import assert from "node:assert/strict";
import { closeSync, writeSync } from "node:fs";
import { test } from "node:test";
import { FuseDevice } from "./fuse-device.ts";
import { loadNativeCalls } from "./native-calls.ts";
import { WakeSignal } from "./wake-signal.ts";

test("a thread is woken, however many requests come", (t) => {
  const pair = loadNativeCalls()?.socketPair();
  if (typeof pair !== "object") return t.skip("no native calls here");
  const [device, kernel] = pair;
  const wake = new WakeSignal();
  try {
    const waiting = new FuseDevice(device, { maxWrite: 4096, wakeFd: wake.fd });
    const waitOnce = (): string => {
      writeSync(kernel, "request");
      return waiting.wait().kind;
    };
    for (let count = 0; count < 5; count += 1) assert.equal(waitOnce(), "request");
    wake.notify();
    const kinds = Array.from({ length: 20 }, waitOnce);
    assert.equal(kinds.filter((kind) => kind === "wake").length, 1);
    assert.equal(kinds.filter((kind) => kind === "request").length, 19);
  } finally {
    wake.close();
    for (const fd of pair) closeSync(fd);
  }
});
