import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { isEsgzError } from "../errors/index.ts";
import { footerOf, readVector } from "./archives.fixture.ts";
import { decodeFooter, MAX_FOOTER_SIZE } from "./footer.ts";
import { encodeEstargzFooter, encodeExternalFooter } from "./gzip-footer.ts";
import { decodeZstdPosition, encodeZstdFooter, encodeZstdFooterWithTarSplit } from "./zstd-footer.ts";

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const invalid = (error: unknown): boolean => isEsgzError(error, "FOOTER_INVALID");
const GIB = 2 ** 30;

/** A zstd footer of any layout: its content's length says which. */
function zstdFooter(content: Uint8Array): Uint8Array {
  const header = Buffer.from("502a4d1800000000", "hex");
  header.writeUInt32LE(content.length, 4);
  return Buffer.concat([header, content]);
}

function zstdContent(options: {
  size: number;
  magic: string;
  magicAt: number;
  numbers: bigint[];
}): Uint8Array {
  const content = Buffer.alloc(options.size);
  options.numbers.forEach((number, i) => content.writeBigUInt64LE(number, i * 8));
  content.write(options.magic, options.magicAt, "latin1");
  return content;
}

suite("encodeEstargzFooter()", () => {
  test("writes the bytes of the specification", () => {
    assert.equal(
      hexOf(encodeEstargzFooter(0x15368)),
      "1f8b08040000000000ff1a00534716003030303030303030303030313533363853544152475a010000ffff0000000000000000",
    );
  });

  test("is an empty gzip member, so plain gunzip reads past it", () => {
    assert.equal(gunzipSync(encodeEstargzFooter(1234)).length, 0);
  });

  for (const offset of [-1, 0.5, Number.NaN, 2 ** 53]) {
    test(`refuses the offset ${offset}`, () => {
      assert.throws(() => encodeEstargzFooter(offset), { code: "INTERNAL" });
    });
  }
});

test("encodeExternalFooter() writes the bytes of the specification", () => {
  assert.equal(
    hexOf(encodeExternalFooter()),
    "1f8b08040000000000ff15005347110053544152475a45585445524e414c544f43010000ffff0000000000000000",
  );
});

test("encodeZstdFooter() writes what the reference wrote for the same positions", () => {
  const footer = encodeZstdFooter({ offset: 372_615, compressedSize: 17_708, size: 108_809 });
  assert.equal(hexOf(footer), hexOf(readVector("everything.zstdchunked.blob").subarray(-48)));
});

test("encodeZstdFooterWithTarSplit() writes seven numbers and the magic with a capital N", () => {
  const toc = { offset: 1, compressedSize: 2, size: 3 };
  const split = { offset: 0x0102030405, compressedSize: 6, size: 7 };
  const numbers = ["01", "02", "03", "01", "0504030201", "06", "07"].map((hex) => hex.padEnd(16, "0"));
  const expected = `502a4d1840000000${numbers.join("")}474e556c496e5578`;
  assert.equal(hexOf(encodeZstdFooterWithTarSplit(toc, split)), expected);
  const without = hexOf(encodeZstdFooterWithTarSplit(toc, undefined));
  assert.equal(without, expected.replace(numbers.slice(4).join(""), "0".repeat(48)));
});

suite("decodeFooter()", () => {
  for (const offset of [0, 1, 4_294_967_295, 2 ** 52]) {
    test(`returns the offset ${offset} that was encoded`, () => {
      const footer = decodeFooter(encodeEstargzFooter(offset), offset + 52);
      assert.deepEqual(footer, { kind: "estargz", tocOffset: offset, footerSize: 51 });
    });
  }

  const vectors: [string, object][] = [
    ["everything.default.blob", { kind: "estargz", tocOffset: 0x55428, footerSize: 51 }],
    ["everything.legacy-stargz.blob", { kind: "stargz", tocOffset: 0x55428, footerSize: 47 }],
    ["everything.externaltoc.blob", { kind: "external", footerSize: 46 }],
    [
      "everything.zstdchunked.blob",
      {
        kind: "zstd:chunked",
        tocOffset: 372_615,
        tocCompressedSize: 17_708,
        tocSize: 108_809,
        footerSize: 48,
      },
    ],
    [
      "everything.zstdchunked-skopeo.blob",
      {
        kind: "zstd:chunked",
        tocOffset: 375_720,
        tocCompressedSize: 25_037,
        tocSize: 119_669,
        footerSize: 48,
      },
    ],
  ];
  for (const [name, expected] of vectors) {
    test(`reads the footer of ${name}`, () => {
      const blob = readVector(name);
      assert.deepEqual(decodeFooter(blob.subarray(-MAX_FOOTER_SIZE), blob.length), expected);
    });
  }

  const toc = { tocOffset: 1000, tocCompressedSize: 200, tocSize: 5000 };
  const numbers = [1000n, 200n, 5000n, 1n];
  for (const magic of ["GnUlInUx", "GNUlInUx"]) {
    test(`reads 40, 56 and 64 bytes of zstd:chunked footer with the magic ${magic}`, () => {
      const kind = "zstd:chunked";
      const short = zstdFooter(zstdContent({ size: 40, magic, magicAt: 32, numbers }));
      const transitional = zstdFooter(zstdContent({ size: 56, magic, magicAt: 32, numbers }));
      const split = [...numbers, 2000n, 300n, 4000n];
      const long = zstdFooter(zstdContent({ size: 64, magic, magicAt: 56, numbers: split }));
      assert.deepEqual(decodeFooter(short, GIB), { kind, ...toc, footerSize: 48 });
      assert.deepEqual(decodeFooter(transitional, GIB), { kind, ...toc, footerSize: 64 });
      const tarSplit = { offset: 2000, compressedSize: 300, size: 4000 };
      assert.deepEqual(decodeFooter(long, GIB), { kind, ...toc, footerSize: 72, tarSplit });
    });
  }

  test("accepts upper-case digits, as the reference does", () => {
    const footer = decodeFooter(footerOf("00000000000000AB"), 1000);
    assert.deepEqual(footer, { kind: "estargz", tocOffset: 0xab, footerSize: 51 });
  });

  const broken: [string, Uint8Array, number][] = [
    ["nothing", new Uint8Array(0), 0],
    ["a short footer", footerOf("0000000000000001").subarray(1), 1000],
    ["a plain gzip header", Buffer.alloc(72, "1f8b0800000000000003", "hex"), 1000],
    ["zeros", new Uint8Array(72), 72],
    ["an offset too large to address", footerOf("ffffffffffffffff"), GIB],
    ["an offset behind the blob", footerOf("0000010000000000"), 1000],
    ["an offset of the footer itself", footerOf((949).toString(16).padStart(16, "0")), 1000],
    ["a negative offset", footerOf("-000000000000001"), 1000],
    ["a signed offset", footerOf("+000000000000001"), 1000],
    ["digits with a space", footerOf(" 000000000000001"), 1000],
    ["a subfield shorter than it claims", footerWithExtraLength(footerOf("0000000000000001"), 10), 1000],
    [
      "an external footer with an extra field of 3 bytes",
      footerWithExtraLength(encodeExternalFooter(), 3),
      1000,
    ],
    ["a compressed TOC of 2^62 bytes", craftZstd([8n, 1n << 62n, 10n, 1n]), 1000],
    ["a TOC offset of 2^63", craftZstd([1n << 63n, 1n, 10n, 1n]), 1000],
    ["a compressed TOC of 2^64 - 1 bytes", craftZstd([8n, (1n << 64n) - 1n, 10n, 1n]), 1000],
    ["a zstd TOC that ends in the footer", craftZstd([100n, 853n, 10n, 1n]), 1000],
    ["an unknown manifest type", craftZstd([100n, 10n, 10n, 2n]), 1000],
  ];
  for (const [what, tail, blobSize] of broken) {
    test(`rejects ${what}`, () => {
      assert.throws(() => decodeFooter(tail, blobSize), invalid);
    });
  }
});

suite("decodeZstdPosition()", () => {
  test("reads both annotations", () => {
    const footer = decodeZstdPosition("372615:17708:108809:1", { tarSplit: "400:5:6", blobSize: 390_371 });
    assert.deepEqual(footer, {
      kind: "zstd:chunked",
      tocOffset: 372_615,
      tocCompressedSize: 17_708,
      tocSize: 108_809,
      footerSize: 0,
      tarSplit: { offset: 400, compressedSize: 5, size: 6 },
    });
  });

  for (const position of [
    "",
    "1:2:3",
    "1:2:3:4:5",
    "-1:2:3:1",
    "+1:2:3:1",
    "0x10:2:3:1",
    "900:200:3:1",
    "9:2:3:2",
  ]) {
    test(`rejects ${JSON.stringify(position)}`, () => {
      assert.throws(() => decodeZstdPosition(position, { blobSize: 1000 }), invalid);
    });
  }
});

function footerWithExtraLength(footer: Uint8Array, length: number): Uint8Array {
  const changed = Buffer.from(footer);
  changed.writeUInt16LE(length, 10);
  return changed;
}

function craftZstd(numbers: bigint[]): Uint8Array {
  return zstdFooter(zstdContent({ size: 40, magic: "GnUlInUx", magicAt: 32, numbers }));
}
