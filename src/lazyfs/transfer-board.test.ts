import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../async/index.ts";
import type { Flow } from "../blob/index.ts";
import { TransferBoard, type WatchedTransfer } from "./transfer-board.ts";

/** A clock that moves when the test says so. */
class SteppedClock implements Clock {
  now = 0;
  readonly #sleepers = new Set<{ readonly atMs: number; readonly wake: () => void }>();
  nowMs(): number {
    return this.now;
  }
  wallMs(): number {
    return this.now;
  }
  async sleep(ms: number): Promise<void> {
    const slept = Promise.withResolvers<void>();
    this.#sleepers.add({ atMs: this.now + ms, wake: slept.resolve });
    await slept.promise;
  }
  async step(ms: number): Promise<void> {
    this.now += ms;
    for (const sleeper of this.#sleepers) {
      if (sleeper.atMs > this.now) continue;
      this.#sleepers.delete(sleeper);
      sleeper.wake();
    }
    await setImmediate();
  }
}

class Watched implements WatchedTransfer {
  readonly priority = "readahead";
  readonly isUrgent: boolean;
  hedges = 0;
  checks = 0;
  constructor(isUrgent = false) {
    this.isUrgent = isUrgent;
  }
  hedge(): void {
    this.hedges += 1;
  }
  checkStall(): void {
    this.checks += 1;
  }
}

/** Lets bytes arrive for `ms`, so many in each millisecond, shared by some flows. */
async function bring(
  board: TransferBoard,
  clock: SteppedClock,
  options: { readonly ms: number; readonly bytesPerMs: number; readonly flows: readonly Flow[] },
): Promise<void> {
  for (let at = 0; at < options.ms; at += 50) {
    for (const flow of options.flows) flow.received += (options.bytesPerMs * 50) / options.flows.length;
    board.link.note(options.bytesPerMs * 50);
    await clock.step(50);
  }
}

describe("TransferBoard", () => {
  test("has nothing asked for twice while the link is full, but what a read waits for", async () => {
    const clock = new SteppedClock();
    const board = new TransferBoard(clock);
    const [fast, waiting, urgent] = [new Watched(), new Watched(), new Watched(true)];
    const flows = [fast, waiting, urgent].map((transfer) => board.begin(transfer));
    await bring(board, clock, { ms: 1000, bytesPerMs: 1000, flows: flows.slice(0, 1) });
    const before = waiting.checks;
    await bring(board, clock, { ms: 6000, bytesPerMs: 1000, flows: flows.slice(0, 1) });
    assert.equal(waiting.checks, before);
    assert.ok(urgent.checks > 20);
    assert.deepEqual([fast.hedges, waiting.hedges, urgent.hedges], [0, 0, 0]);
    await bring(board, clock, { ms: 2000, bytesPerMs: 100, flows: flows.slice(0, 1) });
    assert.ok(waiting.checks > before);
    assert.deepEqual([fast.hedges, waiting.hedges, urgent.hedges], [0, 1, 1]);
    for (const flow of flows) flow.end();
    await clock.step(1000);
  });

  test("does not hold it against transfers that share a link that one alone was faster", async () => {
    const clock = new SteppedClock();
    const board = new TransferBoard(clock);
    for (let before = 0; before < 12; before += 1) {
      const alone = board.begin(new Watched());
      await bring(board, clock, { ms: 300, bytesPerMs: 1000, flows: [alone] });
      alone.end();
    }
    const shared = Array.from({ length: 8 }, () => new Watched());
    const flows = shared.map((transfer) => board.begin(transfer));
    await bring(board, clock, { ms: 5000, bytesPerMs: 300, flows });
    assert.deepEqual(
      shared.map(({ hedges }) => hedges),
      Array.from({ length: 8 }, () => 0),
    );
    for (const flow of flows) flow.end();
    await clock.step(1000);
  });
});
