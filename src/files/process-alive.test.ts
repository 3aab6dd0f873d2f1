import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { isProcessAlive } from "./process-alive.ts";

test("isProcessAlive() sees processes, those of others included, until they have ended", async () => {
  const child = spawn("cat", { stdio: ["pipe", "ignore", "ignore"] });
  const { pid } = child;
  assert.ok(pid !== undefined);
  assert.deepEqual([1, process.pid, pid].map(isProcessAlive), [true, true, true]);
  child.stdin.end();
  await once(child, "exit");
  assert.equal(isProcessAlive(pid), false);
});
