/**
 * For tests: waiting for what nobody tells.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setImmediate } from "node:timers/promises";

/** Lets everything run that is not waiting for something, until it is done. */
export async function settle(
  isDone: () => boolean,
  complaint: () => string = () => "it did not happen",
): Promise<void> {
  const startMs = performance.now();
  while (!isDone()) {
    assert.ok(performance.now() - startMs < 60_000, complaint());
    await setImmediate();
  }
}
