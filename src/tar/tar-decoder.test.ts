import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { encodeBase64, encodeUtf8 } from "../bytes/index.ts";
import { isEsgzError, type ErrorCode } from "../errors/index.ts";
import { decodeTar, type DecodedEntry, type DecodeTarOptions } from "./decode-tar.fixture.ts";
import { cleanPath, encodeTarHeader, END_OF_ARCHIVE, TarDecoder, type TarMetadata } from "./index.ts";
import { changeHeader, headerOf, paxHeader, payloadOf } from "./raw-tar.fixture.ts";
import { metadataOf } from "./tar-metadata.fixture.ts";

const VECTORS = new URL("../../test/vectors/", import.meta.url);
const EVERYTHING: Uint8Array = readFileSync(new URL("everything.tar", VECTORS));

interface Expected {
  type: string;
  mode: string;
  uid: number;
  gid: number;
  mtime: number;
  size?: number;
  sha256?: string;
  target?: string;
  dev?: [number, number];
  xattrs?: Record<string, string>;
}

function describe({ entry, content }: DecodedEntry): Expected {
  const xattrs = [...entry.xattrs].map(([name, value]) => [name, encodeBase64(value)]);
  return {
    type: entry.type,
    mode: `0o${entry.mode.toString(8)}`,
    uid: entry.uid,
    gid: entry.gid,
    mtime: entry.mtime.seconds + entry.mtime.nanoseconds / 1e9,
    ...(entry.type === "reg"
      ? { size: entry.size, sha256: createHash("sha256").update(content).digest("hex") }
      : {}),
    ...(entry.linkName === "" ? {} : { target: entry.linkName }),
    ...(entry.type === "char" || entry.type === "block" ? { dev: [entry.devMajor, entry.devMinor] } : {}),
    ...(xattrs.length === 0 ? {} : { xattrs: Object.fromEntries(xattrs) }),
  };
}

function refuses(tar: Uint8Array, code: ErrorCode, options: DecodeTarOptions = {}): void {
  assert.throws(
    () => decodeTar(tar, options),
    (error) => isEsgzError(error, code),
  );
}

function only(tar: Uint8Array, options: DecodeTarOptions = {}): DecodedEntry {
  const { entries } = decodeTar(tar, options);
  assert.equal(entries.length, 1);
  assert.ok(entries[0]);
  return entries[0];
}

void test("TarDecoder reads what Python's tarfile reads", () => {
  const expected: unknown = JSON.parse(readFileSync(new URL("everything.expected.json", VECTORS), "utf8"));
  const decoded = decodeTar(EVERYTHING);
  assert.equal(decoded.entries.length, 337);
  const found = Object.fromEntries(
    decoded.entries.map((item) => [cleanPath(item.entry.name), describe(item)]),
  );
  assert.deepEqual(found, expected);
});

void test("TarDecoder's events are the stream, byte for byte and at the offsets that it states", () => {
  const { entries, stream } = decodeTar(EVERYTHING);
  assert.ok(stream.equals(EVERYTHING));
  for (const { entry, content } of entries) {
    assert.ok(entry.rawHeader.every((byte, i) => byte === EVERYTHING[entry.headerOffset + i]));
    assert.equal(entry.headerOffset + entry.rawHeader.length, entry.dataOffset);
    assert.ok(content.equals(EVERYTHING.subarray(entry.dataOffset, entry.dataOffset + entry.storedSize)));
    assert.equal(entry.selfContained, true);
  }
});

void test("TarDecoder gives the same events however the stream is cut", () => {
  const part = EVERYTHING.subarray(0, 200_000);
  const tar = Buffer.concat([part.subarray(0, decodeTarEnd(part)), END_OF_ARCHIVE]);
  const whole = decodeTar(tar);
  assert.deepEqual(decodeTar(tar, { chunkSizes: [1] }), whole);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 6 }), (chunkSizes) => {
      assert.deepEqual(decodeTar(tar, { chunkSizes }), whole);
    }),
    { numRuns: 50 },
  );
});

/** Where the last whole entry of a cut tar ends. */
function decodeTarEnd(tar: Uint8Array): number {
  const decoder = new TarDecoder();
  let end = 0;
  for (const event of decoder.push(tar)) if (event.kind === "entry") end = event.entry.headerOffset;
  return end;
}

void test("TarDecoder gives content as views into the pushed chunk", () => {
  const chunk = Uint8Array.from([...encodeTarHeader(metadataOf({ size: 3 })), ...payloadOf("abc")]);
  for (const event of new TarDecoder().push(chunk)) {
    const bytes = event.kind === "entry" ? event.entry.rawHeader : event.bytes;
    assert.equal(bytes.buffer, chunk.buffer);
  }
});

void test("TarDecoder gives an empty file no data events, and knows its position", () => {
  const decoder = new TarDecoder();
  const tar = Buffer.concat([encodeTarHeader(metadataOf()), encodeTarHeader(metadataOf({ name: "b" }))]);
  const kinds = [...decoder.push(tar)].map(({ kind }) => kind);
  assert.deepEqual(kinds, ["entry", "entry"]);
  assert.equal(decoder.position, 1024);
  assert.deepEqual([...decoder.finish()], []);
});

void test("TarDecoder accepts a tar without its end, and gives what follows the end as trailer", () => {
  const file = Buffer.concat([encodeTarHeader(metadataOf({ size: 3 })), payloadOf("abc")]);
  assert.equal(only(file).content.toString(), "abc");
  const junk = Buffer.from("junk that is no block");
  const { entries, trailer } = decodeTar(Buffer.concat([file, END_OF_ARCHIVE, file, junk]), {
    chunkSizes: [700],
  });
  assert.equal(entries.length, 1);
  assert.ok(trailer.equals(Buffer.concat([END_OF_ARCHIVE, file, junk])));
  assert.equal(decodeTar(new Uint8Array(512)).trailer.length, 512);
  assert.equal(decodeTar(new Uint8Array(0)).entries.length, 0);
});

void test("TarDecoder refuses a stream that ends inside an entry", () => {
  const tar = Buffer.concat([encodeTarHeader(metadataOf({ name: "ü", size: 3 })), payloadOf("abc")]);
  const contentEnd = tar.length - 509;
  for (let size = 1; size < contentEnd; size += 1) refuses(tar.subarray(0, size), "TAR_INVALID");
  refuses(Buffer.concat([paxHeader(["a=b"]), END_OF_ARCHIVE]), "TAR_INVALID");
});

void test("TarDecoder takes a stream that ends in the padding of its last entry, as umoci insert writes it", () => {
  const tar = Buffer.concat([encodeTarHeader(metadataOf({ size: 3 })), payloadOf("abc")]);
  for (let size = tar.length - 509; size <= tar.length; size += 1) {
    assert.equal(only(tar.subarray(0, size)).content.toString(), "abc");
  }
});

void test("TarDecoder refuses a push before the events of the last one are taken", () => {
  const decoder = new TarDecoder();
  const events = decoder.push(encodeTarHeader(metadataOf()));
  assert.throws(
    () => decoder.push(new Uint8Array(1)),
    (error) => isEsgzError(error, "INTERNAL"),
  );
  assert.equal([...events].length, 1);
  assert.deepEqual([...decoder.finish()], []);
});

void test("TarDecoder refuses everything after its first error", () => {
  const decoder = new TarDecoder();
  const isInvalid = (error: unknown): boolean => isEsgzError(error, "TAR_INVALID");
  assert.throws(() => [...decoder.push(new Uint8Array(512).fill(65))], isInvalid);
  assert.throws(() => decoder.push(new Uint8Array(512)), isInvalid);
  assert.throws(() => decoder.finish(), isInvalid);
});

void test("TarDecoder takes signed checksums, and refuses wrong ones", () => {
  const signed = headerOf({ name: "caf\xe9\xe8", type: "0" }, "signed");
  assert.equal(only(signed).entry.name, "caf\udce9\udce8");
  refuses(changeHeader(signed, 148, "000000\0 "), "TAR_INVALID");
  refuses(changeHeader(signed, 148, "        "), "TAR_INVALID");
});

void test("TarDecoder knows each type of file", () => {
  const types: Readonly<Record<string, TarMetadata["type"]>> = {
    "\0": "reg",
    "0": "reg",
    "1": "hardlink",
    "2": "symlink",
    "3": "char",
    "4": "block",
    "5": "dir",
    "6": "fifo",
    "7": "reg",
  };
  for (const [type, expected] of Object.entries(types))
    assert.equal(only(headerOf({ name: "n", type })).entry.type, expected);
  assert.equal(only(headerOf({ name: "old/", type: "\0", magic: "" })).entry.type, "dir");
  assert.equal(only(headerOf({ name: "n", type: "7" })).entry.selfContained, false);
  for (const type of ["A", "D", "I", "M", "N", "Z", "8", "\xff"])
    refuses(headerOf({ name: "n", type }), "TAR_INVALID");
});

void test("TarDecoder takes no content for types that have none, whatever their size says", () => {
  for (const type of ["1", "2", "3", "4", "5", "6"]) {
    const tar = Buffer.concat([
      headerOf({ name: "n", type, size: "00000001750\0" }),
      headerOf({ name: "next", type: "0" }),
    ]);
    const { entries } = decodeTar(tar);
    assert.deepEqual(
      entries.map(({ entry }) => [entry.name, entry.size, entry.storedSize]),
      [
        ["n", 0, 0],
        ["next", 0, 0],
      ],
    );
  }
});

void test("TarDecoder joins the prefix in POSIX headers alone", () => {
  assert.equal(only(headerOf({ name: "n", type: "0", prefix: "p" })).entry.name, "p/n");
  assert.equal(only(headerOf({ name: "n", type: "0", prefix: "p", magic: "ustar  \0" })).entry.name, "n");
  assert.equal(only(headerOf({ name: "n", type: "0", prefix: "p", magic: "" })).entry.name, "n");
});

void test("TarDecoder puts PAX before GNU long names, and these before the header", () => {
  const file = headerOf({ name: "short", type: "0" });
  const long = Buffer.concat([
    headerOf({ name: "././@LongLink", type: "L", size: "00000000005\0" }),
    payloadOf("long\0"),
  ]);
  assert.equal(only(Buffer.concat([long, file])).entry.name, "long");
  assert.equal(only(Buffer.concat([paxHeader(["path=pax"]), long, file])).entry.name, "pax");
  const { entry } = only(Buffer.concat([long, paxHeader(["path=pax"]), file]), { chunkSizes: [77] });
  assert.deepEqual(
    [entry.name, entry.headerOffset, entry.dataOffset, entry.rawHeader.length],
    ["pax", 0, 2560, 2560],
  );
});

void test("TarDecoder lets local records override global ones, and empty ones take them back", () => {
  const file = headerOf({ name: "a", type: "0" });
  const global = paxHeader(["uid=77", "uname=them"], "g");
  const tar = Buffer.concat([
    file,
    global,
    file,
    paxHeader(["uid=78", "uname="]),
    file,
    paxHeader(["uid=1"], "g"),
    file,
  ]);
  const { entries, globals, stream } = decodeTar(tar);
  assert.deepEqual(
    entries.map(({ entry }) => [entry.uid, entry.userName, entry.selfContained]),
    [
      [0, "", true],
      [77, "them", false],
      [78, "", true],
      [1, "them", false],
    ],
  );
  assert.equal(globals.length, 2);
  assert.ok(stream.equals(tar));
});

void test("TarDecoder reads libarchive's xattrs where SCHILY's are missing", () => {
  const header = Buffer.concat([
    paxHeader(["LIBARCHIVE.xattr.user.%C3%BC=AP8", "LIBARCHIVE.xattr.user.b=bm8=", "SCHILY.xattr.user.b=b"]),
    headerOf({ name: "a", type: "0" }),
  ]);
  assert.deepEqual(
    only(header).entry.xattrs,
    new Map([
      ["user.b", encodeUtf8("b")],
      ["user.ü", Uint8Array.of(0, 255)],
    ]),
  );
});

void test("TarDecoder refuses PAX values that break their type", () => {
  const file = headerOf({ name: "a", type: "0" });
  const broken = [
    ["uid=-10"],
    ["size=1e3"],
    ["size=9007199254740992"],
    ["gid=a0"],
    ["mtime=x"],
    ["path=a\0b"],
    ["LIBARCHIVE.xattr.a=\xff\xff"],
    ["GNU.sparse.major=2", "GNU.sparse.minor=0"],
    ["GNU.sparse.major=1"],
  ];
  for (const records of broken) refuses(Buffer.concat([paxHeader(records), file]), "TAR_INVALID");
  assert.equal(only(Buffer.concat([paxHeader(["uid=10", "mtime=1.5", "comment=x"]), file])).entry.uid, 10);
});

void test("TarDecoder refuses a header between an extension header and its entry", () => {
  const file = headerOf({ name: "a", type: "0" });
  refuses(Buffer.concat([paxHeader(["a=b"]), paxHeader(["a=b"], "g"), file]), "TAR_INVALID");
});

void test("TarDecoder checks limits before it waits for the bytes", () => {
  const size = "77777777777\0";
  refuses(headerOf({ name: "x", type: "x", size }), "LIMIT_EXCEEDED");
  refuses(headerOf({ name: "g", type: "g", size }), "LIMIT_EXCEEDED");
  refuses(headerOf({ name: "L", type: "L", size }), "LIMIT_EXCEEDED");
  const file = headerOf({ name: "a", type: "0" });
  refuses(Buffer.concat([paxHeader(["path=abcdef"]), file]), "LIMIT_EXCEEDED", {
    limits: { maxPathBytes: 5 },
  });
  const many = Buffer.concat([...Array<Buffer>(3).fill(paxHeader(["a=b"])), file]);
  refuses(many, "LIMIT_EXCEEDED", { limits: { maxHeaderBytes: 3000 } });
  assert.equal(only(many, { limits: { maxHeaderBytes: 3584 } }).entry.name, "a");
  const globals = Buffer.concat([paxHeader(["SCHILY.xattr.a="], "g"), paxHeader(["SCHILY.xattr.b="], "g")]);
  refuses(globals, "LIMIT_EXCEEDED", { limits: { maxGlobalBytes: 20 } });
});

void test("TarDecoder keeps PAX names of a megabyte that is not UTF-8 cheap", () => {
  const record = `SCHILY.xattr.${"\xc3\xff".repeat(500_000)}=v`;
  const { entry } = only(Buffer.concat([paxHeader([record]), headerOf({ name: "a", type: "0" })]));
  assert.deepEqual([...entry.xattrs.keys()], ["\udcc3\udcff".repeat(500_000)]);
});

void test("TarDecoder takes values or refuses them, whatever bytes are changed", () => {
  const part = EVERYTHING.subarray(0, 40_960);
  const headers = decodeTar(EVERYTHING).entries.filter(({ entry }) => entry.storedSize < 100);
  const small = Buffer.concat(
    headers.slice(0, 30).flatMap(({ entry, content, padding }) => [entry.rawHeader, content, padding]),
  );
  const change = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }), fixes: fc.boolean() });
  fc.assert(
    fc.property(
      fc.constantFrom(part, small),
      fc.array(change, { minLength: 1, maxLength: 8 }),
      (source, changes) => {
        const tar = Uint8Array.from(source);
        for (const { at, value, fixes } of changes) {
          tar[at % tar.length] = value;
          const block = (at % tar.length) - ((at % tar.length) % 512);
          if (fixes) tar.set(changeHeader(tar.subarray(block, block + 512), 0, ""), block);
        }
        try {
          decodeTar(tar, { limits: { maxHoleBytes: 1_000_000 } });
        } catch (error) {
          assert.ok(isEsgzError(error, "TAR_INVALID") || isEsgzError(error, "LIMIT_EXCEEDED"), String(error));
        }
      },
    ),
    { numRuns: 3000 },
  );
});
