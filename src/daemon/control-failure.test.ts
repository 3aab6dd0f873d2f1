import assert from "node:assert/strict";
import { test } from "node:test";
import { EsgzError } from "../errors/index.ts";
import { failureOf } from "./control-failure.ts";

test("failureOf() tells what failed first, where cleaning up failed after it", async () => {
  const full = new EsgzError("NO_SPACE", "Cannot write layer: expected room on the disk, got none");
  const work = async (): Promise<void> => {
    await using _outer = failing("the outer clean-up");
    await using _inner = failing("the inner clean-up");
    throw full;
  };
  const failure = await work().then(() => undefined, failureOf);
  assert.deepEqual(failure, { code: "NO_SPACE", message: full.message, details: {} });
});

test("failureOf() tells of a clean-up that fails alone", async () => {
  const work = async (): Promise<void> => {
    await using _only = failing("the clean-up");
  };
  const failure = await work().then(() => undefined, failureOf);
  assert.deepEqual(failure, { code: "INTERNAL", message: "the clean-up" });
});

function failing(message: string): AsyncDisposable {
  return { [Symbol.asyncDispose]: async () => await Promise.reject(new Error(message)) };
}
