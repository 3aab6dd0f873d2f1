import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HeldClock } from "../async/held-clock.fixture.ts";
import type { Clock } from "../async/index.ts";
import { FetchGate } from "./fetch-gate.ts";

/** A clock on which a sleep takes its time at once, and that does something while it passes. */
class PassingClock implements Clock {
  #ms = 0;
  readonly #whileSleeping: (nowMs: number) => void;
  constructor(whileSleeping: (nowMs: number) => void = () => undefined) {
    this.#whileSleeping = whileSleeping;
  }
  nowMs(): number {
    return this.#ms;
  }
  wallMs(): number {
    return this.#ms;
  }
  // oxlint-disable-next-line require-await -- time passes at once
  async sleep(ms: number): Promise<void> {
    this.#ms += ms;
    this.#whileSleeping(this.#ms);
  }
}

describe("FetchGate", () => {
  const { signal } = new AbortController();

  test("is quiet at once where no read has waited", async () => {
    const clock = new PassingClock();
    await new FetchGate({ clock, yieldMs: 100 }).quiet({ quietMs: 1000, mostMs: 9000, signal });
    assert.equal(clock.nowMs(), 0);
  });

  test("is quiet some time after the last read that waited, and not between two", async () => {
    const clock: PassingClock = new PassingClock((nowMs) => {
      if (nowMs > 3000) return;
      gate.enter();
      gate.leave();
    });
    const gate = new FetchGate({ clock, yieldMs: 100 });
    gate.enter();
    gate.leave();
    await gate.quiet({ quietMs: 1000, mostMs: 9000, signal });
    assert.equal(clock.nowMs(), 4000);
  });

  test("is not waited for longer than is said, whatever reads do", async () => {
    const clock = new PassingClock();
    const gate = new FetchGate({ clock, yieldMs: 100 });
    gate.enter();
    await gate.quiet({ quietMs: 1000, mostMs: 9000, signal });
    assert.equal(clock.nowMs(), 9000);
    await assert.rejects(gate.quiet({ quietMs: 1000, mostMs: 9000, signal: AbortSignal.abort() }));
  });

  test("does not hold anybody up while no read waits", async () => {
    const clock = new HeldClock();
    await new FetchGate({ clock, yieldMs: 100 }).pause({ signal });
    assert.equal(clock.wakes.length, 0);
  });

  test("holds the background up until the last read has what it wants, and leaves no timer", async () => {
    const clock = new HeldClock();
    const gate = new FetchGate({ clock, yieldMs: 100 });
    gate.enter();
    gate.enter();
    let passed = false;
    const pausing = gate.pause({ signal }).then(() => (passed = true));
    gate.leave();
    await Promise.resolve();
    assert.equal(passed, false);
    gate.leave();
    await pausing;
    assert.equal(clock.abandoned, 1);
  });

  test("lets the background take its share while reads wait all the time", async () => {
    const clock = new HeldClock();
    const gate = new FetchGate({ clock, yieldMs: 100 });
    gate.enter();
    const pausing = gate.pause({ signal });
    clock.wakes[0]?.();
    await pausing;
    assert.equal(gate.waiting, 1);
  });

  test("lets through what became urgent, and what is cancelled", async () => {
    const clock = new HeldClock();
    const gate = new FetchGate({ clock, yieldMs: 100 });
    gate.enter();
    await gate.pause({ signal, raised: Promise.resolve() });
    const controller = new AbortController();
    const pausing = gate.pause({ signal: controller.signal });
    controller.abort(new Error("enough"));
    await assert.rejects(pausing, { message: "enough" });
  });
});
