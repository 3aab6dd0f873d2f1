import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { stopAtExit } from "./stop-at-exit.ts";

test("stopAtExit() listens once for all, and no more when nothing is left to stop", () => {
  const before = process.listenerCount("exit");
  const takeBack = Array.from({ length: 20 }, () => stopAtExit(() => undefined));
  assert.equal(process.listenerCount("exit"), before + 1);
  for (const each of takeBack) each();
  assert.equal(process.listenerCount("exit"), before);
});

test("stopAtExit() stops what is left when the process exits", () => {
  const module = JSON.stringify(import.meta.resolve("./stop-at-exit.ts"));
  const program = `
    import { stopAtExit } from ${module};
    stopAtExit(() => console.log("first"));
    stopAtExit(() => console.log("second"))();
    stopAtExit(() => console.log("third"));
    process.exit(0);`;
  const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
    encoding: "utf8",
  });
  assert.equal(stdout, "first\nthird\n");
});
