import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../async/index.ts";
import { type BlobSource, BufferBudget, type ByteRange, FlowMonitor, MemoryBlob } from "../blob/index.ts";
import { fetchRanges } from "./fetch-ranges.ts";
import { OrderedHash } from "./ordered-hash.ts";
import { PullProgress } from "./pull-progress.ts";
import { startWorkers } from "./worker-pool.ts";

const SIZE = 1000;

test("fetchRanges() ends with the failure of a range that others, which are there, are to be hashed after", async () => {
  const failure = new Error("the first range cannot be had");
  const progress = new PullProgress({ clock: systemClock, emit: () => undefined, layers: [] });
  await using pool = startWorkers(1, { directory: "/" });
  const blob = new BrokenBlob(new MemoryBlob(new Uint8Array(2 * SIZE)), failure);
  const hash = new OrderedHash(`sha256:${"0".repeat(64)}`);
  const layer = { blob, compression: "gzip", tail: new Uint8Array(), tailOffset: 2 * SIZE, hash } as const;
  const plan = { layer: 0, size: SIZE, fetchSize: SIZE, batches: [] };
  const fetching = fetchRanges(
    [0, SIZE].map((offset) => ({ ...plan, offset })),
    {
      layerOf: () => layer,
      pool,
      budget: new BufferBudget({ totalBytes: 4 * SIZE, slotSize: SIZE }),
      connections: 2,
      monitor: new FlowMonitor({ clock: systemClock }),
      progress,
      ready: Promise.resolve(),
      signal: new AbortController().signal,
    },
  );
  await assert.rejects(fetching, failure);
});

/** Its first byte fails, once another range has been read. */
class BrokenBlob implements BlobSource {
  readonly size: number;
  readonly #blob: BlobSource;
  readonly #failure: Error;
  readonly #isRead = Promise.withResolvers<void>();

  constructor(blob: BlobSource, failure: Error) {
    this.size = blob.size;
    this.#blob = blob;
    this.#failure = failure;
  }

  async read(range: ByteRange): Promise<Uint8Array> {
    return await this.#blob.read(range);
  }

  async *stream(range: ByteRange): AsyncIterable<Uint8Array> {
    if (range.offset === 0) {
      await this.#isRead.promise;
      throw this.#failure;
    }
    yield* this.#blob.stream(range);
    this.#isRead.resolve();
  }
}
