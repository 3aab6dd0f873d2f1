import assert from "node:assert/strict";
import { test } from "node:test";
import { isEsgzError } from "../errors/index.ts";
import { DevicePlan } from "./device-plan.ts";

test("DevicePlan gives out places in order, at multiples of 4096", () => {
  const plan = new DevicePlan();
  assert.deepEqual(
    [1, 0, 4096, 4097, 1].map((size) => plan.place(size)),
    [0, 4096, 4096, 8192, 16384],
  );
  assert.equal(plan.size, 20480);
});

test("DevicePlan stops where block addresses end", () => {
  const plan = new DevicePlan();
  assert.equal(plan.place(2 ** 44 - 4096), 0);
  assert.throws(
    () => plan.place(1),
    (error) => isEsgzError(error, "LIMIT_EXCEEDED"),
  );
  assert.throws(
    () => plan.place(Number.NaN),
    (error) => isEsgzError(error, "LIMIT_EXCEEDED"),
  );
});
