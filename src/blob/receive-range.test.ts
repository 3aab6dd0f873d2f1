import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { StandingClock } from "../async/standing-clock.fixture.ts";
import { type BlobSource, type ByteRange, MemoryBlob, type ReadOptions } from "./blob-source.ts";
import { BufferBudget } from "./buffer-budget.ts";
import { FlowMonitor } from "./flow-monitor.ts";
import { receiveRange } from "./receive-range.ts";

/** Gives 100 bytes to its first reader and then nothing, until the reader goes away. */
class StuckBlob extends MemoryBlob implements BlobSource {
  readonly offsets: number[] = [];
  readonly stuck: Promise<void>;
  #nowStuck: () => void = () => undefined;

  constructor(bytes: Uint8Array) {
    super(bytes);
    this.stuck = new Promise((resolve) => (this.#nowStuck = resolve));
  }

  override async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    this.offsets.push(range.offset);
    if (this.offsets.length > 1) {
      yield* super.stream(range, options);
      return;
    }
    yield await this.read({ offset: range.offset, size: 100 });
    this.#nowStuck();
    await new Promise((_, reject) =>
      options.signal?.addEventListener("abort", () => reject(options.signal?.reason)),
    );
  }
}

describe("receiveRange()", () => {
  test("asks for the rest on a second connection when the first is slower than its peers", async () => {
    const clock = new StandingClock(0);
    const monitor = new FlowMonitor({ clock });
    const peer = monitor.begin(() => assert.fail("the peer is not slow"));
    const content = Uint8Array.from({ length: 1000 }, (_, at) => (at * 7) % 251);
    const blob = new StuckBlob(content);
    const into = new Uint8Array(900);
    let hedges = 0;
    const done = receiveRange(blob, {
      offset: 50,
      into,
      monitor,
      signal: new AbortController().signal,
      onReceived: () => undefined,
      onHedge: () => (hedges += 1),
    });
    await blob.stuck;
    clock.now = 4000;
    peer.received = 1_000_000;
    monitor.judge();
    monitor.judge();
    await done;
    assert.deepEqual(into, content.slice(50, 950));
    assert.deepEqual(blob.offsets, [50, 150]);
    assert.equal(hedges, 1);
  });
});

describe("BufferBudget", () => {
  test("waits when the budget is spent, and hands the same memory out again", async () => {
    const budget = new BufferBudget({ totalBytes: 200, slotSize: 100 });
    const first = await budget.acquire(10);
    const second = await budget.acquire(100);
    let third: SharedArrayBuffer | undefined;
    const waiting = budget.acquire(50).then(({ buffer }) => (third = buffer));
    await Promise.resolve();
    assert.equal(third, undefined);
    first.release();
    await waiting;
    assert.equal(third, first.buffer);
    second.release();
  });
});
