import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { LinkRate } from "./link-rate.ts";

/** Notes so many bytes in each of some milliseconds. */
function run(
  rate: LinkRate,
  clock: StandingClock,
  { ms, bytes }: { readonly ms: number; readonly bytes: number },
): void {
  for (let at = 0; at < ms; at += 10) {
    rate.note(bytes * 10);
    clock.now += 10;
  }
}

describe("LinkRate", () => {
  test("knows nothing before the first interval, and then the best rate", () => {
    const clock = new StandingClock(5000);
    const rate = new LinkRate(clock);
    rate.note(1000);
    assert.equal(rate.bytesPerMs, undefined);
    assert.equal(rate.isFull, false);
    run(rate, clock, { ms: 1000, bytes: 300 });
    assert.ok(Math.abs((rate.bytesPerMs ?? 0) - 300) < 10, `${rate.bytesPerMs}`);
    assert.equal(rate.isFull, true);
  });

  test("is not full while less than half of it arrives, nor at rest", () => {
    const clock = new StandingClock(5000);
    const rate = new LinkRate(clock);
    run(rate, clock, { ms: 1000, bytes: 300 });
    run(rate, clock, { ms: 500, bytes: 100 });
    assert.equal(rate.isFull, false);
    run(rate, clock, { ms: 500, bytes: 300 });
    assert.equal(rate.isFull, true);
    clock.now += 60_000;
    assert.equal(rate.isFull, false);
    assert.ok((rate.bytesPerMs ?? 0) > 250, "a rest tells nothing of the link");
  });

  test("forgets a rate that does not come again", () => {
    const clock = new StandingClock(5000);
    const rate = new LinkRate(clock);
    run(rate, clock, { ms: 500, bytes: 1000 });
    run(rate, clock, { ms: 30_000, bytes: 100 });
    assert.ok((rate.bytesPerMs ?? 0) < 150, `${rate.bytesPerMs}`);
    assert.equal(rate.isFull, true);
  });
});
