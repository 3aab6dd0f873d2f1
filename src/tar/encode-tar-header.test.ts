import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodePathText } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { decodeTar } from "./decode-tar.fixture.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, type TarMetadata } from "./index.ts";
import { metadataOf } from "./tar-metadata.fixture.ts";

function metadataIn(entry: TarMetadata): TarMetadata {
  return metadataOf(
    Object.fromEntries(Object.keys(metadataOf()).map((key) => [key, Reflect.get(entry, key) as unknown])),
  );
}

void test("encodeTarHeader() writes one ustar block where it can", () => {
  const short = encodeTarHeader(metadataOf({ name: "x".repeat(100) }));
  const split = encodeTarHeader(
    metadataOf({ name: `${"p".repeat(155)}/${"n".repeat(100)}`, uid: 2_097_151, size: 8 ** 11 - 1 }),
  );
  assert.equal(short.length, 512);
  assert.equal(split.length, 512);
  assert.equal(Buffer.from(short).toString("latin1", 257, 265), "ustar\x0000");
  assert.equal(Buffer.from(split).toString("latin1", 345, 500), "p".repeat(155));
});

void test("encodeTarHeader() writes the bytes that Go's archive/tar writes for a plain file", () => {
  const block = encodeTarHeader(metadataOf({ name: "file", size: 5, mode: 0o755, uid: 1, gid: 2 }));
  const fields = Buffer.from(block).toString("latin1").replaceAll(/\0+/gu, "|");
  assert.equal(
    fields,
    "file|0000755|0000001|0000002|00000000005|14524770400|010112| 0|ustar|00|0000000|0000000|",
  );
});

void test("encodeTarHeader() writes PAX records only for what ustar cannot hold, sorted", () => {
  const header = encodeTarHeader(
    metadataOf({
      name: "n".repeat(101),
      uid: 2_097_152,
      size: 8 ** 11,
      mtime: { seconds: -2, nanoseconds: 500_000_000 },
      userName: "ü",
      xattrs: new Map([
        ["user.b=%", Uint8Array.of(0, 255, 10)],
        ["user.a", Uint8Array.of()],
      ]),
    }),
  );
  assert.equal(header.length, 3 * 512);
  const records = Buffer.from(header.subarray(512, 1024)).toString("latin1").replace(/\0+$/u, "");
  assert.equal(
    records,
    "24 SCHILY.xattr.user.a=\n" +
      "31 SCHILY.xattr.user.b%3D%=\0\xff\n\n" +
      "14 mtime=-1.5\n" +
      `111 path=${"n".repeat(101)}\n` +
      "19 size=8589934592\n" +
      "15 uid=2097152\n" +
      "12 uname=\xc3\xbc\n",
  );
});

void test("encodeTarHeader() refuses what no tar holds", () => {
  const refused: readonly [Partial<TarMetadata>, "PATH_INVALID" | "TAR_INVALID"][] = [
    [{ name: "" }, "PATH_INVALID"],
    [{ name: "a\0b" }, "PATH_INVALID"],
    [{ type: "symlink", linkName: "\0" }, "PATH_INVALID"],
    [{ uid: -1 }, "TAR_INVALID"],
    [{ gid: 1.5 }, "TAR_INVALID"],
    [{ size: 2 ** 53 }, "TAR_INVALID"],
    [{ size: NaN }, "TAR_INVALID"],
    [{ mode: 0o10000 }, "TAR_INVALID"],
    [{ devMajor: 2_097_152 }, "TAR_INVALID"],
    [{ mtime: { seconds: 0, nanoseconds: 1_000_000_000 } }, "TAR_INVALID"],
    [{ mtime: { seconds: 0.5, nanoseconds: 0 } }, "TAR_INVALID"],
    [{ userName: "a\0" }, "TAR_INVALID"],
    [{ xattrs: new Map([["a\0", Uint8Array.of()]]) }, "TAR_INVALID"],
  ];
  for (const [changes, code] of refused) {
    assert.throws(
      () => encodeTarHeader(metadataOf(changes)),
      (error) => isEsgzError(error, code),
      JSON.stringify(changes),
    );
  }
});

const nameBytes = fc
  .uint8Array({ minLength: 1, maxLength: 300 })
  .map((bytes) => bytes.map((byte) => byte || 0x2f));
const text = fc.oneof(
  nameBytes.map(decodePathText),
  fc.stringMatching(/^[a-z/]{1,270}$/u),
  fc.string({ unit: "grapheme", minLength: 1 }).filter((name) => !name.includes("\0")),
);
const attributeName = fc.oneof(text, fc.stringMatching(/^[%253D=]{1,8}$/u));
const device = fc.integer({ min: 0, max: 2_097_151 });
const arbitrary = fc
  .record({
    name: text,
    type: fc.constantFrom("reg", "dir", "symlink", "hardlink", "char", "block", "fifo"),
    size: fc.oneof(fc.integer({ min: 0, max: 2000 }), fc.integer({ min: 8 ** 11 - 2, max: 8 ** 11 + 2 })),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    uid: fc.oneof(fc.integer({ min: 0, max: 2 ** 32 }), fc.integer({ min: 2_097_150, max: 2_097_153 })),
    gid: fc.nat(),
    userName: text,
    groupName: text,
    mtime: fc.record(
      {
        seconds: fc.maxSafeInteger().map((seconds) => seconds || 0),
        nanoseconds: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 999_999_999 })),
      },
      { noNullPrototype: true },
    ),
    linkName: text,
    devMajor: device,
    devMinor: device,
    xattrs: fc
      .array(fc.tuple(attributeName, fc.uint8Array({ maxLength: 300 })))
      .map((pairs) => new Map(pairs)),
  })
  .map((metadata): TarMetadata => ({ ...metadata, ...withoutStrangers(metadata) }));

/** Drops what the type has no place for. */
function withoutStrangers({
  type,
  ...rest
}: Pick<TarMetadata, "type" | "size" | "linkName" | "devMajor" | "devMinor">) {
  const isDevice = type === "char" || type === "block";
  return {
    size: type === "reg" ? rest.size : 0,
    linkName: type === "symlink" || type === "hardlink" ? rest.linkName : "",
    devMajor: isDevice ? rest.devMajor : 0,
    devMinor: isDevice ? rest.devMinor : 0,
  };
}

void test("TarDecoder reads back all that encodeTarHeader() wrote", () => {
  fc.assert(
    fc.property(arbitrary, (metadata) => {
      const header = encodeTarHeader(metadata);
      assert.deepEqual(encodeTarHeader({ ...metadata }), header);
      const content = new Uint8Array(
        metadata.size < 4000 ? metadata.size + paddingOf(metadata.size) : 0,
      ).fill(7);
      const tar = Buffer.concat([header, content, metadata.size < 4000 ? END_OF_ARCHIVE : content]);
      const decode = (): void => {
        const [first] = decodeTar(tar).entries;
        assert.ok(first);
        assert.deepEqual(metadataIn(first.entry), metadata);
        assert.deepEqual(first.entry.rawHeader, Buffer.from(header));
      };
      if (metadata.size < 4000) decode();
      else assert.throws(decode, (error) => isEsgzError(error, "TAR_INVALID"));
    }),
    { numRuns: 1500 },
  );
});
