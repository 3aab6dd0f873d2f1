/**
 * Inputs that break other implementations, each with what it is here: a typed error or a defined result.
 */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { gzipSync } from "node:zlib";
import { MemoryBlob } from "../blob/index.ts";
import { isEsgzError, type ErrorCode } from "../errors/index.ts";
import {
  collect,
  CRAFTED_CONTENT,
  CRAFTED_OFFSET,
  CRAFTED_PAYLOAD,
  craftBlob,
  fileEntry,
  footerOf,
  readVector,
  tarOf,
} from "./archives.fixture.ts";
import type { Archive } from "./archive.ts";
import type { EstargzLimits } from "./limits.ts";
import { openArchive } from "./open-archive.ts";
import { readFile } from "./read-file.ts";

interface OpenOptions {
  readonly limits?: Partial<EstargzLimits>;
  readonly payload?: Uint8Array;
}

async function open(tocText: string, { limits, payload }: OpenOptions = {}): Promise<Archive> {
  const archive = await openArchive(new MemoryBlob(craftBlob(tocText, payload)), { limits });
  return archive.verify(archive.tocDigest);
}

function openEntries(entries: readonly unknown[], options?: OpenOptions): Promise<Archive> {
  return open(JSON.stringify({ version: 1, entries }), options);
}

function refuses(what: string, code: ErrorCode, attempt: () => Promise<unknown>): void {
  test(`refuses ${what} with ${code}`, async () => {
    await assert.rejects(attempt(), (error) => {
      assert.ok(isEsgzError(error, code), String(error));
      return true;
    });
  });
}

const dir = (name: string): object => ({ name, type: "dir", mode: 0o755 });
const link = (name: string, linkName: string): object => ({ name, type: "hardlink", linkName });
const size = CRAFTED_CONTENT.length;
const half = size / 2;

test("a TOC made by hand opens, and its file reads", async () => {
  const archive = await openEntries([fileEntry()]);
  const content = await collect(readFile(archive, new MemoryBlob(craftBlob("{}")), "file"));
  assert.deepEqual(Buffer.from(content), CRAFTED_CONTENT);
});

suite("footers and TOC members", () => {
  const openTail = (footer: Uint8Array): Promise<unknown> =>
    openArchive(new MemoryBlob(Buffer.concat([CRAFTED_PAYLOAD, footer])));
  refuses("a footer offset larger than the blob", "FOOTER_INVALID", () =>
    openTail(footerOf("0000010000000000")),
  );
  refuses("a footer offset that is negative", "FOOTER_INVALID", () => openTail(footerOf("-000000000000001")));
  refuses("an ordinary gzip layer", "FOOTER_INVALID", () => openTail(gzipSync(Buffer.alloc(4000))));
  refuses("an empty blob", "FOOTER_INVALID", () => openArchive(new MemoryBlob(new Uint8Array(0))));
  refuses("a TOC offset that points at another member", "TOC_INVALID", () =>
    openTail(footerOf("0000000000000000")),
  );
  refuses("a TOC member that is no gzip", "TOC_INVALID", () => openTail(footerOf("0000000000000001")));

  const withToc = (member: Uint8Array, limits?: Partial<EstargzLimits>): Promise<unknown> => {
    const offset = CRAFTED_PAYLOAD.length.toString(16).padStart(16, "0");
    return openArchive(new MemoryBlob(Buffer.concat([CRAFTED_PAYLOAD, member, footerOf(offset)])), {
      limits,
    });
  };
  refuses("a TOC file of another name", "TOC_INVALID", () =>
    withToc(gzipSync(tarOf("./stargz.index.json", Buffer.from("{}")))),
  );
  refuses("a TOC tar that is cut off", "TOC_INVALID", () =>
    withToc(gzipSync(tarOf("stargz.index.json", Buffer.alloc(5000)).subarray(0, 2000))),
  );
  refuses("a TOC that inflates to more than its limit", "LIMIT_EXCEEDED", () =>
    withToc(gzipSync(tarOf("stargz.index.json", Buffer.alloc(40 << 20))), { maxTocBytes: 1 << 20 }),
  );
  refuses("a damaged TOC member", "TOC_INVALID", () => {
    const member = gzipSync(tarOf("stargz.index.json", Buffer.from("{}")));
    member.fill(0xaa, 12, 40);
    return withToc(member);
  });
});

suite("TOC JSON", () => {
  refuses("the literal null", "TOC_INVALID", () => open("null"));
  refuses("a list", "TOC_INVALID", () => open("[]"));
  refuses("text that is no JSON", "TOC_INVALID", () => open("{"));
  refuses("bytes behind the JSON", "TOC_INVALID", () => open('{"version":1,"entries":[]} x'));
  refuses("entries that are no list", "TOC_INVALID", () => open('{"entries":{}}'));
  refuses("null inside entries", "TOC_INVALID", () => openEntries([dir("a"), null]));
  refuses("a list inside entries", "TOC_INVALID", () => openEntries([[]]));
  refuses("one member twice in an entry", "TOC_INVALID", () =>
    open('{"entries":[{"name":"a","type":"dir","name":"b"}]}'),
  );
  refuses("entries twice", "TOC_INVALID", () => open('{"entries":[],"entries":[]}'));
  refuses("a member in another case", "TOC_INVALID", () => open('{"entries":[{"NAME":"a","type":"dir"}]}'));
  refuses("a member name with escapes", "TOC_INVALID", () =>
    open('{"entries":[{"n\\u0061me":"a","type":"dir"}]}'),
  );
  refuses("more nesting than a TOC has", "LIMIT_EXCEEDED", () =>
    open(`${"[".repeat(100)}${"]".repeat(100)}`),
  );
  refuses("more objects than the limit of entries allows", "LIMIT_EXCEEDED", () =>
    open(`{"entries":[${"{},".repeat(1000)}{}]}`, { limits: { maxEntries: 100 } }),
  );
  refuses("a list of more values than the limit of entries allows", "LIMIT_EXCEEDED", () =>
    open(`{"entries":[${"0,".repeat(1000)}0]}`, { limits: { maxEntries: 100 } }),
  );
  refuses("more entries than the limit", "LIMIT_EXCEEDED", () =>
    openEntries([dir("a"), dir("b"), dir("c")], { limits: { maxEntries: 2 } }),
  );
  refuses("more bytes than the limit", "LIMIT_EXCEEDED", () =>
    open(`{"entries":[]}${" ".repeat(2000)}`, { limits: { maxTocBytes: 1000 } }),
  );

  test("a TOC without entries is an empty layer", async () => {
    assert.equal((await open('{"version":1}')).entries.length, 0);
    assert.equal((await open('{"version":9,"entries":null,"unknown":{"a":[1]}}\n')).entries.length, 0);
  });

  test("of two attributes with one name the last wins, as in every reader", async () => {
    const archive = await open(
      '{"entries":[{"name":"a","type":"dir","xattrs":{"user.a":"AA==","user.a":"AQ=="}}]}',
    );
    assert.deepEqual(archive.get("a")?.xattrs, new Map([["user.a", Uint8Array.of(1)]]));
  });
});

suite("fields of entries", () => {
  const wrong: [string, Record<string, unknown>][] = [
    ["a negative size", { size: -1 }],
    ["a fractional size", { size: 1.5 }],
    ["a size beyond 2^53", { size: 2 ** 60 }],
    ["a size as text", { size: "12" }],
    ["a negative offset", { offset: -5 }],
    ["an offset behind the payload", { offset: CRAFTED_PAYLOAD.length }],
    ["no offset of content", { offset: undefined }],
    ["a negative innerOffset", { innerOffset: -1 }],
    ["a negative mode", { mode: -1 }],
    ["a user id beyond 32 bits", { uid: 2 ** 32 }],
    ["a negative group id", { gid: -1 }],
    ["an unknown type", { type: "socket" }],
    ["a type that is a number", { type: 5 }],
    ["a type of Object.prototype", { type: "constructor" }],
    ["a name that is no text", { name: 5 }],
    ["a name with a zero byte", { name: "a\0b" }],
    ["a digest that is none", { digest: "sha256:xyz" }],
    ["a chunk digest of an unknown algorithm", { chunkDigest: `md5:${"0".repeat(32)}` }],
    ["a time that is none", { modtime: "yesterday" }],
    ["attributes that are a list", { xattrs: ["AA=="] }],
    ["attributes that are not base64", { xattrs: { "user.a": "*" } }],
    ["an unknown chunk type", { chunkType: "random" }],
    ["a chunk that begins inside the file", { chunkOffset: 10 }],
    ["a chunk larger than the file", { chunkSize: size + 1 }],
    ["a chunk smaller than the file, and no other", { chunkSize: size - 1 }],
    ["an end in front of the content", { endOffset: 1 }],
    ["an end behind the payload", { endOffset: CRAFTED_PAYLOAD.length + 1 }],
  ];
  for (const [what, changes] of wrong) {
    refuses(what, "TOC_INVALID", () => openEntries([fileEntry(changes)]));
  }

  const large: [string, Record<string, unknown>][] = [
    ["a file of 2^50 bytes in one chunk", { size: 2 ** 50 }],
    ["a very large chunkSize", { size: 2 ** 50, chunkSize: 2 ** 40 }],
    ["an innerOffset beyond what a member may hold", { innerOffset: 2 ** 40 }],
    ["more content than its member can inflate to", { size: 60 << 20 }],
    ["a path of 5000 bytes", { name: "a/".repeat(2500) }],
    ["a name of 256 bytes", { name: "a".repeat(256) }],
    ["a path of 1025 names", { name: "a/".repeat(1025) }],
  ];
  for (const [what, changes] of large) {
    refuses(what, "LIMIT_EXCEEDED", () => openEntries([fileEntry(changes)]));
  }

  refuses("a size of 2^52 in chunks of 1 byte, without listing them", "TOC_INVALID", () =>
    openEntries([fileEntry({ size: 2 ** 52, chunkSize: 1 })]),
  );

  test("an entry with nothing but a name and a type has the values of zero", async () => {
    const archive = await openEntries([{ name: "a", type: "dir", mode: null, modtime: "", xattrs: null }]);
    const entry = archive.get("a");
    assert.deepEqual([entry?.mode, entry?.uid, entry?.mtime], [0, 0, { seconds: 0, nanoseconds: 0 }]);
  });

  test("names of users and groups are filled in from earlier entries with the same id", async () => {
    const archive = await openEntries([
      { ...dir("a"), uid: 7, userName: "seven", gid: 8, groupName: "eight" },
      { ...dir("b"), uid: 7, gid: 8 },
      { ...dir("c"), uid: 8, gid: 7 },
    ]);
    assert.deepEqual([archive.get("b")?.userName, archive.get("b")?.groupName], ["seven", "eight"]);
    assert.deepEqual([archive.get("c")?.userName, archive.get("c")?.groupName], ["", ""]);
  });
});

suite("chunks", () => {
  const chunk = (changes: object): object => ({ name: "file", type: "chunk", ...changes });
  const first = fileEntry({ chunkSize: half });
  const inner = { offset: CRAFTED_OFFSET, innerOffset: half, chunkDigest: fileEntry()["digest"] };

  test("several chunks of a file may share a member", async () => {
    const archive = await openEntries([first, chunk({ ...inner, chunkOffset: half })]);
    assert.deepEqual(
      archive
        .get("file")
        ?.chunks.map(({ fileOffset, size: length, innerOffset }) => [fileOffset, length, innerOffset]),
      [
        [0, half, 0],
        [half, half, half],
      ],
    );
  });

  refuses("a chunk in front of any file", "TOC_INVALID", () => openEntries([chunk({ offset: 5 })]));
  refuses("a chunk behind a directory", "TOC_INVALID", () => openEntries([dir("a"), chunk({ offset: 5 })]));
  refuses("a chunk of an empty file", "TOC_INVALID", () =>
    openEntries([{ name: "e", type: "reg" }, chunk({ offset: 5 })]),
  );
  refuses("a gap between chunks", "TOC_INVALID", () =>
    openEntries([first, chunk({ ...inner, chunkOffset: half + 1 })]),
  );
  refuses("chunks that overlap in the file", "TOC_INVALID", () =>
    openEntries([first, chunk({ ...inner, chunkOffset: half - 1 })]),
  );
  refuses("chunks that overlap in the blob", "TOC_INVALID", () =>
    openEntries([first, chunk({ ...inner, innerOffset: half - 1, chunkOffset: half })]),
  );
  refuses("chunks out of the blob's order", "TOC_INVALID", () =>
    openEntries([first, chunk({ ...inner, offset: CRAFTED_OFFSET - 1, chunkOffset: half })]),
  );
  refuses("two files with the same content in the blob", "TOC_INVALID", () =>
    openEntries([fileEntry(), fileEntry({ name: "other" })]),
  );
  refuses("a chunk without a digest", "TOC_INVALID", () =>
    openEntries([fileEntry({ digest: undefined, chunkDigest: undefined })]),
  );

  test("the digest of a file with one chunk is the chunk's too", async () => {
    const archive = await openEntries([fileEntry({ chunkDigest: undefined })]);
    assert.equal(archive.get("file")?.chunks[0]?.digest, fileEntry()["digest"]);
  });

  test("holes need neither offset nor digest, whatever their size", async () => {
    const archive = await openEntries([
      { name: "hole", type: "reg", size: 2 ** 40, chunkSize: 2 ** 40, chunkType: "zeros" },
    ]);
    assert.equal(archive.get("hole")?.chunks[0]?.kind, "zeros");
    assert.equal(archive.chunksByMember().length, 0);
  });
});

suite("entries together", () => {
  refuses("a hard link to itself", "TOC_INVALID", () => openEntries([link("a", "a")]));
  refuses("a cycle of two hard links", "TOC_INVALID", () => openEntries([link("a", "b"), link("b", "a")]));
  refuses("a cycle that a hard link leads into", "TOC_INVALID", () =>
    openEntries([link("x", "a"), link("a", "b"), link("b", "a")]),
  );
  refuses("a hard link to nothing", "TOC_INVALID", () => openEntries([link("a", "nowhere")]));
  refuses("a hard link without a target", "TOC_INVALID", () =>
    openEntries([{ name: "a", type: "hardlink" }]),
  );
  refuses("a hard link to a directory", "TOC_INVALID", () => openEntries([dir("d"), link("a", "d")]));
  refuses("a symlink without a target", "TOC_INVALID", () => openEntries([{ name: "a", type: "symlink" }]));
  refuses("a root that is a regular file", "TOC_INVALID", () => openEntries([{ name: "./", type: "reg" }]));
  refuses("an entry below a regular file", "TOC_INVALID", () =>
    openEntries([fileEntry(), dir("file/below")]),
  );
  refuses("an entry far below a symlink", "TOC_INVALID", () =>
    openEntries([{ name: "s", type: "symlink", linkName: "/" }, dir("s/a/b/c")]),
  );

  refuses("long paths that imply millions of directories", "LIMIT_EXCEEDED", () =>
    openEntries(Array.from({ length: 100 }, (_, i) => dir(`${i}${"/a".repeat(1000)}`))),
  );

  test("names are cleaned and never climb", async () => {
    const archive = await openEntries(
      ["../up", "/abs", "./d/", "a//b", "c/../../e"].map((name) => dir(name)),
    );
    assert.deepEqual(
      archive.entries.map(({ path }) => path),
      ["up", "abs", "d", "a/b", "e"],
    );
    assert.equal(archive.entries[0]?.name, "../up");
  });

  test("hard links may come before their target, and their targets are cleaned", async () => {
    const archive = await openEntries([link("a", "/./x/../file"), fileEntry()]);
    const entry = archive.get("a");
    assert.equal(entry === undefined ? undefined : archive.resolveHardlink(entry).path, "file");
  });

  test("of entries with one path the last wins, at its own place", async () => {
    const archive = await openEntries([fileEntry(), dir("d"), { name: "./file", type: "fifo" }]);
    assert.deepEqual(
      archive.entries.map(({ path, type }) => [path, type]),
      [
        ["d", "dir"],
        ["file", "fifo"],
      ],
    );
  });

  test("a chain of 50,000 hard links is followed without recursion", async () => {
    const links = Array.from({ length: 50_000 }, (_, i) => link(`l${i}`, i === 0 ? "file" : `l${i - 1}`));
    const archive = await openEntries([...links.toReversed(), fileEntry()]);
    const last = archive.get("l49999");
    assert.equal(last === undefined ? undefined : archive.resolveHardlink(last).path, "file");
  });

  test("20,000 entries of 2,000 names are no more work than 20,000 names", async () => {
    const entries = Array.from({ length: 20_000 }, (_, i) => dir(`n${i % 2000}`));
    assert.equal((await openEntries(entries)).entries.length, 2000);
  });
});

test("a tree as deep as the limit opens", async () => {
  const archive = await openEntries([dir("a/".repeat(1024))]);
  assert.equal(archive.entries[0]?.path.split("/").length, 1024);
});

test("a chunk that was changed is never given out", async () => {
  const blob = Buffer.from(readVector("everything.default.blob"));
  const unverified = await openArchive(new MemoryBlob(blob));
  const archive = unverified.verify(
    "sha256:df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  );
  const chunk = archive.get("bin/tool")?.chunks[0];
  const middle = ((chunk?.blobOffset ?? 0) + (chunk?.blobEnd ?? 0)) >>> 1;
  blob[middle] = (blob[middle] ?? 0) ^ 1;
  await assert.rejects(collect(readFile(archive, new MemoryBlob(blob), "bin/tool")), (error) =>
    ["DIGEST_MISMATCH", "COMPRESSION_INVALID"].some((code) => isEsgzError(error, code as ErrorCode)),
  );
});
