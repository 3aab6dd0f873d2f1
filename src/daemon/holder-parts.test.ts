import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import fc from "fast-check";
import { isRunning, processOf } from "../files/index.ts";
import { RespawnDelay } from "./respawn-delay.ts";
import { activatedSockets } from "./service-activation.ts";
import { splitLines } from "./split-lines.ts";

test("RespawnDelay starts at once after a death, and waits longer after each early one", () => {
  const delay = new RespawnDelay();
  assert.equal(delay.afterDeath(60_000), 0);
  assert.equal(delay.afterDeath(2000), 0);
  assert.deepEqual(
    [undefined, 10, 499, undefined, undefined].map((servedMs) => delay.afterDeath(servedMs)),
    [0, 100, 200, 400, 800],
  );
  for (let death = 0; death < 10; death += 1) delay.afterDeath(undefined);
  assert.equal(delay.afterDeath(undefined), 5000);
  assert.equal(delay.afterDeath(500), 0);
});

test("activatedSockets() takes what systemd opened for this process", () => {
  const variables = { LISTEN_PID: "7", LISTEN_FDS: "3", LISTEN_FDNAMES: "control:grpc:esgz.socket" };
  assert.deepEqual(activatedSockets(variables, 7), [
    { name: "control", fd: 3 },
    { name: "grpc", fd: 4 },
    { name: "control", fd: 5 },
  ]);
  assert.deepEqual(activatedSockets({ LISTEN_PID: "7", LISTEN_FDS: "1" }, 7), [{ name: "control", fd: 3 }]);
});

test("activatedSockets() leaves what is another process's, or is no number", () => {
  assert.deepEqual(activatedSockets({ LISTEN_PID: "8", LISTEN_FDS: "1" }, 7), []);
  assert.deepEqual(activatedSockets({}, 7), []);
  for (const count of ["0", "-1", "many", "1e9", ""])
    assert.deepEqual(activatedSockets({ LISTEN_PID: "7", LISTEN_FDS: count }, 7), []);
});

test("splitLines() gives the same lines however the bytes are cut", async () => {
  const text = fc.array(
    fc.string({ unit: "grapheme", maxLength: 12 }).map((part) => part.replaceAll("\n", "")),
  );
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(20)), async (lines, cuts) => {
      const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
      const chunks: Uint8Array[] = [];
      let at = 0;
      for (const size of [...cuts, bytes.length]) {
        chunks.push(bytes.subarray(at, at + size));
        at += size;
      }
      assert.deepEqual(await Array.fromAsync(splitLines(streamOf(chunks))), lines);
    }),
  );
});

test("splitLines() refuses a line without an end before it fills the memory", async () => {
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) yield new Uint8Array(1 << 20);
  };
  await assert.rejects(Array.fromAsync(splitLines(endless())), RangeError);
});

test("a process is told from one that has its number later", async () => {
  const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
  await once(child, "spawn");
  const identity = processOf(child.pid ?? 0);
  assert.ok(identity !== undefined && isRunning(identity));
  assert.ok(!isRunning({ ...identity, startTicks: "1" }));
  child.stdin.end();
  await once(child, "exit");
  assert.ok(!isRunning(identity));
  assert.equal(processOf(0), undefined);
});

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
