import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type ByteRange, MemoryBlob, type ReadOptions } from "../blob/index.ts";
import { RangeStream } from "./range-stream.ts";

const CONTENT = Uint8Array.from({ length: 1000 }, (_, at) => (at * 31) % 256);

/** Gives pieces of 100 bytes; the first stream stands still after its second piece, until its reader goes away. */
class StuckBlob extends MemoryBlob {
  readonly asked: ByteRange[] = [];
  aborted = 0;

  override async *stream(range: ByteRange, { signal }: ReadOptions = {}): AsyncIterable<Uint8Array> {
    const number = this.asked.push(range);
    for (let at = 0; at < range.size; at += 100) {
      if (number === 1 && at === 200) await this.#stand(signal);
      yield await this.read({ offset: range.offset + at, size: Math.min(100, range.size - at) });
    }
  }

  async #stand(signal: AbortSignal | undefined): Promise<void> {
    const aborted = Promise.withResolvers<void>();
    signal?.addEventListener("abort", () => {
      this.aborted += 1;
      aborted.reject(signal.reason);
    });
    await aborted.promise;
  }
}

/** Its second stream does not hear that its reader went away, and answers when it is told to; the third one after that. */
class DeafBlob extends StuckBlob {
  readonly late: PromiseWithResolvers<void> = Promise.withResolvers();
  readonly last: PromiseWithResolvers<void> = Promise.withResolvers();

  #streams = 0;

  override async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    this.#streams += 1;
    if (this.#streams === 2) await this.late.promise;
    if (this.#streams === 3) await this.last.promise;
    yield* super.stream(range, options);
  }
}

/** Gives fewer bytes than it was asked for. */
class ShortBlob extends MemoryBlob {
  override async *stream(range: ByteRange): AsyncIterable<Uint8Array> {
    yield await this.read({ offset: range.offset, size: range.size - 1 });
  }
}

async function readAll(stream: RangeStream): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let piece = await stream.next(); piece !== undefined; piece = await stream.next()) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe("RangeStream", () => {
  const { signal } = new AbortController();

  test("goes on where the slow connection is, over the one that answers", async () => {
    const blob = new StuckBlob(CONTENT);
    const stream = new RangeStream(blob, { offset: 50, end: 950, signal });
    const first = [await stream.next(), await stream.next()].map((piece) => piece?.length);
    assert.deepEqual(first, [100, 100]);
    const rest = readAll(stream);
    stream.hedge();
    stream.hedge();
    assert.deepEqual(new Uint8Array(await rest), CONTENT.slice(250, 950));
    assert.deepEqual(blob.asked, [
      { offset: 50, size: 900 },
      { offset: 250, size: 700 },
    ]);
    assert.equal(blob.aborted, 1);
    await stream.close();
  });

  test("takes nothing of a second connection that was left and answers late", async () => {
    const blob = new DeafBlob(CONTENT);
    const stream = new RangeStream(blob, { offset: 50, end: 950, signal });
    await stream.next();
    await stream.next();
    const rest = readAll(stream);
    stream.hedge();
    stream.hedge({ anew: true });
    blob.late.resolve();
    await setImmediate();
    blob.last.resolve();
    assert.deepEqual(new Uint8Array(await rest), CONTENT.slice(250, 950));
    await stream.close();
  });

  test("rejects an end that comes too early, and knows how far it came", async () => {
    const stream = new RangeStream(new ShortBlob(CONTENT), { offset: 0, end: 500, signal });
    assert.equal((await stream.next())?.length, 499);
    await assert.rejects(stream.next(), { code: "SIZE_MISMATCH" });
    assert.equal(stream.at, 499);
    await stream.close();
  });

  test("ends its connections when it is closed", async () => {
    const blob = new StuckBlob(CONTENT);
    const stream = new RangeStream(blob, { offset: 0, end: 1000, signal });
    await stream.next();
    await stream.next();
    const waiting = assert.rejects(stream.next());
    await stream.close();
    await waiting;
    assert.equal(blob.aborted, 1);
  });
});
