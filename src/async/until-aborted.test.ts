import assert from "node:assert/strict";
import { test } from "node:test";
import { untilAborted } from "./until-aborted.ts";

test("untilAborted() leaves no failure unhandled, whenever it comes", async () => {
  const unhandled: unknown[] = [];
  const note = (error: unknown): void => void unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    for (const isAborted of [true, false]) {
      const controller = new AbortController();
      const { promise, reject } = Promise.withResolvers<void>();
      if (isAborted) controller.abort("enough");
      // As its callers make it: nobody else holds this promise.
      const waiting = untilAborted(
        promise.then(() => undefined),
        controller.signal,
      );
      controller.abort("enough");
      await assert.rejects(waiting, (error) => error === "enough");
      reject(new Error("late"));
      await new Promise((resolve) => setImmediate(resolve));
    }
  } finally {
    process.off("unhandledRejection", note);
  }
  assert.deepEqual(unhandled, []);
});
