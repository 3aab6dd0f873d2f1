import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32, deflateRawSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { decompressStream, detectCompression } from "./decompress.ts";

const VECTORS = new URL("../../test/vectors/", import.meta.url);

function vector(name: string): Uint8Array {
  return readFileSync(new URL(name, VECTORS));
}

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return Buffer.concat(parts);
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Letters of a pseudo-random order: they compress to about a third. */
function textBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0, state = 2_463_534_242; i < size; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = 97 + ((state >>> 8) % 6);
  }
  return bytes;
}

// As the README of the vectors lists them; the last one is what zstd(1) makes of the blob.
const DIFF_IDS = {
  "everything.default.blob": "b4ef5523e42fceee71bfcbb215e90cc31d0ea6e1612763edf474772c8976e057",
  "everything.minchunk.blob": "b80f5f37da4eff7e9ea16ea1b8e979f88ab049d2a679e5edc63551e764bc07c0",
  "everything.externaltoc.blob": "55cbfb28676c3460f87883fd2f0e3cb1bda2c7eddbab1255ca105c876712cafb",
  "everything.zstdchunked.blob": "55cbfb28676c3460f87883fd2f0e3cb1bda2c7eddbab1255ca105c876712cafb",
  "everything.buildkit.blob": "57c1a7a96a4d762d2f0c5b1b06f8dbe6ffc250ef6041ceccc36f817a1f633b79",
  "everything.zstdchunked-skopeo.blob": "35a0c274d8fa2aa59930845462c8d5948afe71634a3e34797998241fde90b755",
};

test("decompressStream() gives the tar of layers made by other tools", async (t) => {
  for (const [name, diffId] of Object.entries(DIFF_IDS)) {
    for (const pieceSize of [7_919, 1 << 20]) {
      await t.test(`${name} in pieces of ${pieceSize}`, async () => {
        assert.equal(sha256(await collect(decompressStream(cut(vector(name), pieceSize)))), diffId);
      });
    }
  }
});

test("decompressStream() passes an uncompressed tar through", async () => {
  const tar = vector("everything.tar");
  assert.equal(sha256(await collect(decompressStream(cut(tar, 999)))), sha256(tar));
});

test("decompressStream() gives nothing for an empty blob", async () => {
  assert.equal((await collect(decompressStream(cut(new Uint8Array(0), 1)))).length, 0);
});

test("decompressStream() joins gzip members with every kind of header", async () => {
  const content = textBytes(100_000);
  const plain = gzipSync(content);
  const body = deflateRawSync(content);
  const fields = Buffer.from("1f8b081e0000000000ff0300616263", "hex");
  const header = Buffer.concat([fields, Buffer.from("name\0comment\0", "latin1")]);
  const headerCrc = Buffer.from([crc32(header) & 0xff, (crc32(header) >> 8) & 0xff]);
  const rich = Buffer.concat([header, headerCrc, body, plain.subarray(-8)]);
  const wanted = sha256(Buffer.concat([content, content, content]));
  const members = Buffer.concat([plain, rich, plain]);
  assert.equal(sha256(await collect(decompressStream(cut(members, 1000)))), wanted);
  const read = (): AsyncGenerator<Uint8Array> => cut(Buffer.concat([members, Buffer.from("end")]), 1000);
  assert.equal(sha256(await collect(decompressStream(read(), { reread: read }))), wanted);
});

test("decompressStream() ignores what follows the last gzip member", async (t) => {
  const content = textBytes(3_000_000);
  const members = Buffer.concat([gzipSync(content), gzipSync(Buffer.from("second member"))]);
  const wanted = sha256(Buffer.concat([content, Buffer.from("second member")]));
  const tails = {
    "a few zeros": Buffer.alloc(600),
    "millions of zeros": Buffer.alloc(5_000_000),
    "foreign bytes": Buffer.from("not a gzip member"),
    "one byte": Buffer.from([7]),
    "megabytes of foreign bytes": Buffer.alloc(3_000_000, 0xaa),
    "zeros, then foreign bytes": Buffer.concat([Buffer.alloc(1000), Buffer.from("tail")]),
  };
  for (const [name, tail] of Object.entries(tails)) {
    for (const pieceSize of [50_000, 8 << 20]) {
      await t.test(`${name}, pieces of ${pieceSize}`, async () => {
        const blob = Buffer.concat([members, tail]);
        let consumed = 0;
        const read = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
          consumed = 0;
          for await (const piece of cut(blob, pieceSize)) {
            consumed += piece.length;
            yield piece;
          }
        };
        assert.equal(sha256(await collect(decompressStream(read(), { reread: read }))), wanted);
        assert.equal(consumed, blob.length);
      });
    }
  }
});

test("decompressStream() joins zstd frames, long and short, between skippable ones", async () => {
  const long = textBytes(5_000_000);
  const skippable = Buffer.from("5f2a4d1803000000aabbcc", "hex");
  const frames = [
    skippable,
    zstdCompressSync(long),
    zstdCompressSync(Buffer.from("short")),
    skippable,
    zstdCompressSync(Buffer.alloc(0)),
    zstdCompressSync(Buffer.alloc(4_000_000)),
    skippable,
  ];
  const tar = await collect(decompressStream(cut(Buffer.concat(frames), 10_007)));
  assert.equal(sha256(tar), sha256(Buffer.concat([long, Buffer.from("short"), Buffer.alloc(4_000_000)])));
});

test("decompressStream() refuses data that ends early", async (t) => {
  const blobs = {
    gzip: gzipSync(textBytes(300_000)),
    "short zstd": zstdCompressSync(textBytes(300_000)),
    "long zstd": zstdCompressSync(textBytes(5_000_000)),
  };
  for (const [name, blob] of Object.entries(blobs)) {
    for (const cutOff of [1, 100, Math.floor(blob.length / 2)]) {
      await t.test(`${name} without its last ${cutOff} bytes`, async () => {
        const input = cut(blob.subarray(0, blob.length - cutOff), 4096);
        await assert.rejects(collect(decompressStream(input)), (error) =>
          isEsgzError(error, "COMPRESSION_INVALID"),
        );
      });
    }
  }
});

test("decompressStream() gives the bytes or COMPRESSION_INVALID for damaged input, and never hangs", async () => {
  const sources = [
    gzipSync(textBytes(20_000)),
    zstdCompressSync(textBytes(20_000)),
    vector("small.default.blob"),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...sources),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      async (source, changes) => {
        const blob = Uint8Array.from(source);
        for (const [at, value] of changes) blob[at % blob.length] = value;
        const read = (): AsyncGenerator<Uint8Array> => cut(blob, 1000);
        try {
          await collect(decompressStream(read(), { reread: read }));
        } catch (error) {
          assert.ok(isEsgzError(error, "COMPRESSION_INVALID"), String(error));
        }
      },
    ),
    { numRuns: 150, endOnFailure: true },
  );
});

test("decompressStream() passes errors of the input on, unchanged", async (t) => {
  for (const whole of [gzipSync(textBytes(500_000)), zstdCompressSync(textBytes(5_000_000))]) {
    await t.test(detectCompression(whole), async () => {
      const failure = new Error("connection lost");
      const input = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        yield whole.subarray(0, 100_000);
        throw failure;
      };
      await assert.rejects(collect(decompressStream(input())), (error) => error === failure);
    });
  }
});

test("decompressStream() ends the input when its consumer stops early, and reads no more than it must", async (t) => {
  const content = textBytes(24_000_000);
  for (const blob of [gzipSync(content, { level: 1 }), zstdCompressSync(content), content]) {
    await t.test(detectCompression(blob), async () => {
      let ended = false;
      let given = 0;
      const input = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
        try {
          for await (const piece of cut(blob, 64 << 10)) {
            given += piece.length;
            yield piece;
          }
        } finally {
          ended = true;
        }
      };
      for await (const piece of decompressStream(input())) {
        assert.ok(piece.length <= 1 << 20);
        break;
      }
      assert.ok(ended);
      assert.ok(given < blob.length, `${given} of ${blob.length} bytes were read`);
    });
  }
});

test("detectCompression() believes bytes", () => {
  assert.equal(detectCompression(Uint8Array.of(0x1f, 0x8b, 8, 0)), "gzip");
  assert.equal(detectCompression(Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd)), "zstd");
  assert.equal(detectCompression(Uint8Array.of(0x5e, 0x2a, 0x4d, 0x18)), "zstd");
  assert.equal(detectCompression(Uint8Array.of(0x1f, 0x8b, 7)), "uncompressed");
  assert.equal(detectCompression(new Uint8Array(0)), "uncompressed");
});
