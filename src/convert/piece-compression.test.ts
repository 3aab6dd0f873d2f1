import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { concatBytes } from "../bytes/index.ts";
import { createCompressor, type Compressor } from "../estargz/index.ts";
import { compressPieces } from "./piece-compression.ts";

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function compressed(
  bytes: Uint8Array,
  options: { arrive: number; pieces: number },
): Promise<Uint8Array> {
  const stream = inPieces(bytes, options.arrive);
  const parts: Uint8Array[] = [];
  const compressor = createCompressor("zlib");
  for await (const part of compressPieces(stream, { compressor, level: 1, pieces: options.pieces }))
    parts.push(part);
  return concatBytes(parts);
}

const CONTENT = new Uint8Array(9 << 20).map((_, index) => (index * index) >> 8);

test("compressPieces() gives the same bytes however the stream arrives and however many pieces are in work", async () => {
  const one = await compressed(CONTENT, { arrive: 65536, pieces: 1 });
  assert.equal(Buffer.compare(gunzipSync(one), CONTENT), 0);
  assert.equal(Buffer.compare(await compressed(CONTENT, { arrive: 1_000_003, pieces: 2 }), one), 0);
  assert.equal(Buffer.compare(await compressed(CONTENT, { arrive: 9 << 20, pieces: 16 }), one), 0);
});

test("compressPieces() makes one empty member of an empty stream", async () => {
  const member = await compressed(new Uint8Array(0), { arrive: 1, pieces: 2 });
  assert.equal(gunzipSync(member).length, 0);
  assert.notEqual(member.length, 0);
});

test("compressPieces() ends all work when its reader stops or a piece fails", async () => {
  let running = 0;
  const slow: Compressor = {
    name: "slow",
    compress: async (parts, { signal }) => {
      running += 1;
      try {
        if (parts.length === 0) throw new Error("no parts");
        await new Promise((resolve, reject) => {
          signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
          if (running === 1) resolve(undefined);
        });
        return Uint8Array.of(1);
      } finally {
        running -= 1;
      }
    },
  };
  for await (const _ of compressPieces(inPieces(CONTENT, 1 << 20), { compressor: slow, level: 1, pieces: 2 }))
    break;
  assert.equal(running, 0);
  const failing: Compressor = { name: "failing", compress: () => Promise.reject(new Error("broken")) };
  const stream = compressPieces(inPieces(CONTENT, 1 << 20), { compressor: failing, level: 1, pieces: 2 });
  await assert.rejects(stream.next(), { message: "broken" });
});
