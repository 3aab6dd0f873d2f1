import assert from "node:assert/strict";
import { test } from "node:test";
import { TARGET_NAMES } from "./fuzz-targets.ts";
import { runFuzz } from "./run-fuzz.ts";

for (const target of TARGET_NAMES) {
  test(`1,500 damaged inputs of ${target} give a value or a typed error`, async () => {
    const [report] = await runFuzz({ runs: 1500, seed: 20_240_229, target });
    assert.equal(report?.inputs, 1500);
    // Were all refused, the damage would be too coarse to test anything behind the first check.
    assert.ok((report?.accepted ?? 0) > 0, "none was accepted");
  });
}
