import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { suite, test } from "node:test";
import { gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { isEsgzError } from "../errors/index.ts";
import { digestOf } from "./archives.fixture.ts";
import { inflateMember, readChunk, type MemberCompression } from "./inflate-member.ts";
import type { Chunk } from "./toc-entry.ts";

const COMPRESS: Record<MemberCompression, (bytes: Uint8Array) => Uint8Array> = {
  gzip: (bytes) => gzipSync(bytes),
  zstd: (bytes) => zstdCompressSync(bytes),
};
const TEXT = Buffer.from("a member of a seekable layer\n".repeat(3000));
const NOISE = randomBytes(100_000);

function startOf(bytes: Uint8Array, size: number): Buffer {
  return Buffer.from(bytes.subarray(0, size));
}

for (const compression of ["gzip", "zstd"] as const) {
  const compress = COMPRESS[compression];
  suite(`inflateMember() of ${compression}`, () => {
    test("gives the whole content", () => {
      for (const content of [TEXT, NOISE, Buffer.from("x")]) {
        const inflated = inflateMember(compress(content), { compression, size: content.length });
        assert.deepEqual(startOf(inflated, content.length), Buffer.from(content));
      }
    });

    test("needs only the bytes that are wanted of a member that goes on", () => {
      const inflated = inflateMember(compress(TEXT), { compression, size: 10 });
      assert.deepEqual(startOf(inflated, 10), TEXT.subarray(0, 10));
    });

    test("goes on into the members that follow", () => {
      const members = Buffer.concat([compress(TEXT), compress(Buffer.alloc(0)), compress(NOISE)]);
      const size = TEXT.length + 5000;
      const inflated = inflateMember(members, { compression, size });
      assert.deepEqual(startOf(inflated, size), Buffer.concat([TEXT, NOISE]).subarray(0, size));
    });

    test("does not need the end of a member that was cut off behind the wanted bytes", () => {
      const cut = compress(NOISE).subarray(0, 60_000);
      const inflated = inflateMember(cut, { compression, size: 1000 });
      assert.deepEqual(startOf(inflated, 1000), NOISE.subarray(0, 1000));
    });

    test("is not led astray by foreign bytes behind the wanted ones", () => {
      const members = Buffer.concat([compress(TEXT), Buffer.from("not compressed at all, but long enough")]);
      const inflated = inflateMember(members, { compression, size: TEXT.length });
      assert.deepEqual(startOf(inflated, TEXT.length), TEXT);
    });

    test("is bounded where a member inflates to far more than is wanted", () => {
      const bomb = compress(Buffer.alloc(200 * 1024 * 1024));
      const inflated = inflateMember(bomb, { compression, size: 1000 });
      assert.ok(inflated.length >= 1000 && inflated.length <= 17 * 1024 * 1024, `${inflated.length} bytes`);
    });

    const refused: [string, Uint8Array][] = [
      ["nothing", new Uint8Array(0)],
      ["a byte", Uint8Array.of(0x1f)],
      ["foreign bytes", Buffer.alloc(100, "foreign")],
      ["a member with too few bytes", compress(TEXT.subarray(0, 999))],
      ["a member that was cut off in front of the wanted bytes", compress(NOISE).subarray(0, 500)],
    ];
    for (const [what, bytes] of refused) {
      test(`refuses ${what}`, () => {
        assert.throws(
          () => inflateMember(bytes, { compression, size: 1000 }),
          (error) => isEsgzError(error, "COMPRESSION_INVALID"),
        );
      });
    }

    test("gives the content or a typed error for any damage", () => {
      const good = compress(TEXT.subarray(0, 5000));
      const damage = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), cut: fc.nat(good.length) });
      fc.assert(
        fc.property(damage, ({ at, byte, cut }) => {
          const bytes = Buffer.from(good.subarray(0, cut));
          if (at < bytes.length) bytes[at] = byte;
          try {
            assert.ok(inflateMember(bytes, { compression, size: 4000 }).length >= 4000);
          } catch (error) {
            assert.ok(isEsgzError(error, "COMPRESSION_INVALID"), String(error));
          }
        }),
        { numRuns: 300, endOnFailure: true },
      );
    });
  });
}

suite("readChunk()", () => {
  const chunk: Chunk = {
    fileOffset: 0,
    size: 500,
    digest: digestOf(TEXT.subarray(100, 600)),
    kind: "data",
    blobOffset: 0,
    blobEnd: 1,
    innerOffset: 100,
  };

  test("takes the chunk out of its member", () => {
    const bytes = readChunk(gzipSync(TEXT), chunk, { compression: "gzip" });
    assert.deepEqual(Buffer.from(bytes), TEXT.subarray(100, 600));
  });

  test("refuses bytes that are not what the digest says", () => {
    const other = gzipSync(TEXT.subarray(1));
    assert.throws(() => readChunk(other, chunk, { compression: "gzip" }), { code: "DIGEST_MISMATCH" });
  });

  test("gives zeros for a hole", () => {
    const hole = readChunk(new Uint8Array(0), { ...chunk, kind: "zeros" }, { compression: "zstd" });
    assert.deepEqual(hole, new Uint8Array(500));
  });
});
