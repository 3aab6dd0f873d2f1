import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { dataRunsOf } from "./native-calls.ts";
import { scratchDirectory } from "./sample-layer.fixture.ts";
import { acquireStoreLock } from "./store-lock.ts";

const HAS_NATIVE_CALLS = dataRunsOf(0, 0) !== undefined;

for (const flock of [true, false]) {
  test(`a lock ${flock ? "by flock" : "by pid"} is held once, until it is disposed`, async (t) => {
    if (flock && !HAS_NATIVE_CALLS) {
      t.skip("no native calls on this machine");
      return;
    }
    await using directory = await scratchDirectory();
    const path = join(directory.path, "lock");
    const options = { pid: process.pid, flock };
    {
      using lock = acquireStoreLock(path, options);
      assert.equal(lock.kind, flock ? "flock" : "pid");
      assert.throws(() => acquireStoreLock(path, options), {
        code: "STORE_INVALID",
        details: { pid: process.pid },
      });
    }
    using again = acquireStoreLock(path, options);
    assert.equal(again.kind, flock ? "flock" : "pid");
  });
}

test("a lock by pid of a process that is gone, or of no process, does not hold", async () => {
  await using directory = await scratchDirectory();
  const path = join(directory.path, "lock");
  const gone = spawnSync(process.execPath, ["--version"]).pid;
  for (const text of [`${gone}\n`, "", "nobody", "-1", "0", "9".repeat(400)]) {
    await writeFile(path, text);
    using lock = acquireStoreLock(path, { pid: process.pid, flock: false });
    assert.equal(lock.kind, "pid", text);
  }
});
