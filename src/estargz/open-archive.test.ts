import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { MemoryBlob, type BlobSource, type ByteRange } from "../blob/index.ts";
import { ANNOTATIONS, type Digest } from "../oci/index.ts";
import { collect, readExpectedFiles, readVector, sha256, type ExpectedFile } from "./archives.fixture.ts";
import type { Archive } from "./archive.ts";
import { encodeEstargzFooter, ESTARGZ_FOOTER_SIZE } from "./gzip-footer.ts";
import { openArchive, type OpenArchiveOptions, readRawToc } from "./open-archive.ts";
import { readFile } from "./read-file.ts";
import type { TocEntry } from "./toc-entry.ts";

/** Digests of the TOC JSON, from another tool (see the README of the vectors; zstd: `zstd -dc` of the TOC | sha256sum). */
const TOC_DIGESTS: Readonly<Record<string, string>> = {
  "everything.default.blob": "df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  "everything.chunk64k.blob": "01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
  "everything.minchunk.blob": "578d3da8df905d9f37b8332100bccbbcd9cc1994a031459f83c26290d69c9507",
  "everything.prioritized.blob": "645dc2585a9c075d3ba8740c0a59ee390ae5c3158056eec3690cdd066abc23b1",
  "everything.externaltoc.blob": "01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
  "everything.zstdchunked.blob": "8ed0f5bdd3669d6ae71833bb2cbeb90bf56d7c6ecbdae7855c22db8f8f61922a",
  "everything.zstdchunked-skopeo.blob": "2e7f3e238bda",
  "everything.buildkit.blob": "2a41b1ba7ed27a40ebfbc66d5be7cf7089db25b4f564e8ac3879bc10b70793fe",
  "everything.legacy-stargz.blob": "df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  "small.default.blob": "50d8a9b749da50c88ac82e13d38e03fa2dbe9e490d1e333caa6bcbafef261dc4",
  "empty.default.blob": "365da7f65e845a0b3f76b74a4b364a11d085759a793a12869000fc389fd09d2b",
};
/** BuildKit unpacks the tar first: times lose fractions, `user.` attributes and the root are gone, links swap. */
const UNPACKED = "everything.buildkit.blob";

async function openVector(name: string, options: OpenArchiveOptions = {}): Promise<Archive> {
  const externalToc = name.includes("external") ? readVector("everything.externaltoc.toc.tar.gz") : undefined;
  const archive = await openArchive(new MemoryBlob(readVector(name)), { externalToc, ...options });
  return archive.verify(archive.tocDigest);
}

/** A blob of zeros that ends with a TOC and its footer; notes what is read. */
function sparseBlob(
  toc: Uint8Array,
  { size, ranges }: { readonly size: number; readonly ranges: ByteRange[] },
): BlobSource {
  const end = Buffer.concat([toc, encodeEstargzFooter(size - ESTARGZ_FOOTER_SIZE - toc.length)]);
  const from = size - end.length;
  const read = (range: ByteRange): Promise<Uint8Array> => {
    ranges.push(range);
    const bytes = new Uint8Array(range.size);
    bytes.set(end.subarray(Math.max(0, range.offset - from)), Math.max(0, from - range.offset));
    return Promise.resolve(bytes);
  };
  return {
    size,
    read,
    async *stream(range) {
      yield await read(range);
    },
  };
}

/** What the TOC of an entry says, in the words of the expected files. */
function described(entry: TocEntry): ExpectedFile {
  const { type, uid, gid, size, linkName, devMajor, devMinor, xattrs } = entry;
  return {
    type,
    mode: `0o${entry.mode.toString(8)}`,
    uid,
    gid,
    mtime: entry.mtime.seconds + Math.round(entry.mtime.nanoseconds / 1e9),
    ...(type === "reg" ? { size } : {}),
    ...(linkName === "" ? {} : { target: linkName }),
    ...(type === "char" || type === "block" ? { dev: [devMajor, devMinor] as const } : {}),
    ...(xattrs.size === 0 ? {} : { xattrs: Object.fromEntries([...xattrs].map(([k, v]) => [k, base64(v)])) }),
  };
}

/** What is left to compare of an archive whose tar was unpacked first: which files there are, and how large. */
function assertSameContent(archive: Archive): void {
  for (const [path, { type, size }] of readExpectedFiles()) {
    if (path === "") continue;
    const entry = archive.get(path);
    const file = entry === undefined ? undefined : archive.resolveHardlink(entry);
    assert.equal(file?.type, type === "hardlink" ? "reg" : type, path);
    if (type === "reg") assert.equal(file?.size, size, path);
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function expectedOf(file: ExpectedFile): ExpectedFile {
  const { sha256: _content, ...rest } = file;
  return { ...rest, mtime: Math.round(file.mtime) };
}

suite("openArchive() of layers that other tools made", () => {
  for (const [name, digest] of Object.entries(TOC_DIGESTS)) {
    test(`computes the TOC digest of ${name}`, async () => {
      const archive = await openVector(name);
      assert.equal(archive.tocDigest.slice(7, 7 + digest.length), digest);
    });
  }

  const everything = Object.keys(TOC_DIGESTS).filter((name) => name.startsWith("everything."));
  for (const name of everything) {
    test(`finds every file of ${name} as it was in the tar`, async () => {
      const archive = await openVector(name);
      if (name === UNPACKED) return assertSameContent(archive);
      const found = Object.fromEntries(archive.entries.map((entry) => [entry.path, described(entry)]));
      const expected = [...readExpectedFiles()].map(([path, file]) => [path, expectedOf(file)] as const);
      assert.deepEqual(found, Object.fromEntries(expected));
    });

    test(`reads every file of ${name} with verified chunks`, async () => {
      const archive = await openVector(name);
      const blob = new MemoryBlob(readVector(name));
      for (const [path, { type, sha256: expected }] of readExpectedFiles()) {
        if (type === "reg")
          assert.equal(sha256(await collect(readFile(archive, blob, path))), expected, path);
      }
    });
  }

  test("follows hard links, also to hard links", async () => {
    const archive = await openVector("everything.default.blob");
    const link = archive.get("/bin/../bin/hard2");
    assert.equal(link?.type, "hardlink");
    assert.equal(link === undefined ? undefined : archive.resolveHardlink(link).path, "bin/tool");
  });

  test("knows the landmarks and hides them", async () => {
    const prioritized = await openVector("everything.prioritized.blob");
    assert.equal(prioritized.landmark, "prefetch");
    assert.equal(prioritized.prefetchSize, 218_665);
    assert.equal(prioritized.get(".prefetch.landmark"), undefined);
    const plain = await openVector("everything.default.blob");
    assert.equal(plain.landmark, "no-prefetch");
    assert.equal(plain.prefetchSize, 0);
  });

  test("groups chunks by member in the order of the blob", async () => {
    const members = (await openVector("everything.minchunk.blob")).chunksByMember();
    const starts = members.map(({ blobOffset }) => blobOffset);
    assert.deepEqual(
      starts,
      starts.toSorted((a, b) => a - b),
    );
    assert.equal(members.length, 8);
    for (const [i, member] of members.entries()) {
      assert.ok(member.blobEnd <= (members[i + 1]?.blobOffset ?? Infinity));
      assert.ok(member.chunks.every(({ chunk }) => chunk.blobOffset === member.blobOffset));
    }
  });

  test("reads nothing but the tail where the TOC fits into it, and twice otherwise", async () => {
    const ranges: ByteRange[] = [];
    const blob = recording(readVector("everything.default.blob"), ranges);
    await openArchive(blob);
    assert.equal(ranges.length, 1);
    ranges.length = 0;
    await openArchive(blob, { tailSize: 500 });
    assert.deepEqual(ranges, [
      { offset: 366_722 - 500, size: 500 },
      { offset: 0x55428, size: 366_722 - 500 - 0x55428 },
    ]);
  });

  test("reads from where an annotation says that the TOC begins, and believes the footer", async () => {
    const [size, toc] = [366_722, 0x55428];
    for (const [stated, first] of [
      [`${toc}/${size}`, toc],
      [`${toc}/${size},1/2`, toc],
      // Too late, as of another blob: the rest is read.
      [`${size - 1000}/${size}`, size - 1000],
      // More than a table takes, and no offsets of this blob: the usual tail is read.
      [`0/${size}`, size - 65_536],
      [`${Math.ceil(size * 0.75) - 1}/${size}`, size - 65_536],
      [`${Math.ceil(size * 0.75)}/${size}`, Math.ceil(size * 0.75)],
      ...["", String(toc), `${toc}/${size + 1}`].map((text) => [text, size - 65_536] as const),
    ] as const) {
      const ranges: ByteRange[] = [];
      const blob = recording(readVector("everything.default.blob"), ranges);
      const archive = await openArchive(blob, { annotations: { [ANNOTATIONS.tocPlaces]: stated } });
      assert.equal(archive.verify(archive.tocDigest).entries.length, 336);
      const rest = first > toc ? [{ offset: toc, size: first - toc }] : [];
      assert.deepEqual(ranges, [{ offset: first, size: size - first }, ...rest], stated);
    }
  });

  test("reads no more of a large blob at once than tables are believed to take, and keeps none of the rest", async () => {
    const [size, most] = [1 << 30, 16 << 20];
    const vector = readVector("everything.default.blob");
    const toc = vector.subarray(0x55428, vector.length - ESTARGZ_FOOTER_SIZE);
    for (const [stated, wanted] of [
      [size - most, most],
      [size - most - 1, 4 << 20],
    ] as const) {
      const ranges: ByteRange[] = [];
      const blob = sparseBlob(toc, { size, ranges });
      const raw = await readRawToc(blob, { annotations: { [ANNOTATIONS.tocPlaces]: `${stated}/${size}` } });
      assert.deepEqual(ranges, [{ offset: size - wanted, size: wanted }]);
      assert.ok(raw.bytes.buffer.byteLength < 1 << 20);
    }
  });

  test("takes the positions of zstd:chunked from annotations of either prefix, in one read", async () => {
    for (const key of [ANNOTATIONS.zstdPosition, ANNOTATIONS.zstdPositionStargz]) {
      const blob = Buffer.from(readVector("everything.zstdchunked-skopeo.blob"));
      blob.fill(0, blob.length - 48);
      const annotations = { [key]: "375720:25037:119669:1" };
      const ranges: ByteRange[] = [];
      const archive = await openArchive(recording(blob, ranges), { annotations });
      assert.deepEqual(ranges, [{ offset: 375_720, size: 25_037 }]);
      const checksum: Digest = "sha256:b8a357a6e8069f1fba4235897a118ab65f0d8e4f8442f787767f524b371ec395";
      assert.equal(archive.verifyCompressedToc(checksum).entries.length, 336);
    }
  });

  test("says when a TOC is elsewhere and was not given", async () => {
    const blob = new MemoryBlob(readVector("everything.externaltoc.blob"));
    await assert.rejects(openArchive(blob), { code: "TOC_MISSING" });
  });

  test("accepts the external TOC as bare JSON too", async () => {
    const { gunzipSync } = await import("node:zlib");
    const tar = gunzipSync(readVector("everything.externaltoc.toc.tar.gz"));
    const size = Number.parseInt(tar.toString("latin1", 124, 135), 8);
    const archive = await openVector("everything.externaltoc.blob", {
      externalToc: tar.subarray(512, 512 + size),
    });
    assert.equal(archive.entries.length, 336);
  });
});

suite("UnverifiedArchive", () => {
  test("proves nothing any more when it was disposed of; its archives are as good as before", async () => {
    const unverified = await openArchive(new MemoryBlob(readVector("everything.default.blob")));
    const archive = unverified.verify(unverified.tocDigest);
    unverified[Symbol.dispose]();
    unverified[Symbol.dispose]();
    assert.throws(() => unverified.verify(unverified.tocDigest), { code: "DIGEST_MISMATCH" });
    assertSameContent(archive);
  });

  test("leaves an external TOC that it was given to its owner when it is disposed of", async () => {
    const json = `{"version":1,"entries":[${'{"name":"a","type":"dir"},'.repeat(20_000)}{"name":"b","type":"dir"}]}`;
    const externalToc = new Uint8Array(Buffer.from(json));
    const blob = new MemoryBlob(readVector("everything.externaltoc.blob"));
    {
      using unverified = await openArchive(blob, { externalToc });
      assert.equal(unverified.verify(unverified.tocDigest).entries.length, 2);
    }
    assert.equal(Buffer.from(externalToc).toString(), json);
  });

  const other: Digest = `sha256:${"0".repeat(64)}`;

  test("refuses another TOC than the digest promises", async () => {
    const archive = await openArchive(new MemoryBlob(readVector("small.default.blob")));
    assert.throws(() => archive.verify(other), { code: "DIGEST_MISMATCH" });
  });

  test("refuses another compressed TOC than the checksum promises", async () => {
    const archive = await openArchive(new MemoryBlob(readVector("everything.zstdchunked.blob")));
    assert.throws(() => archive.verifyCompressedToc(other), { code: "DIGEST_MISMATCH" });
  });

  test("has no compressed TOC to verify where the layer is gzip", async () => {
    const archive = await openArchive(new MemoryBlob(readVector("small.default.blob")));
    assert.throws(() => archive.verifyCompressedToc(other), { code: "TOC_INVALID" });
  });
});

suite("readFile()", () => {
  test("refuses content that was changed", async () => {
    const archive = await openVector("everything.legacy-stargz.blob");
    const blob = Buffer.from(readVector("everything.zstdchunked.blob"));
    const codes = new Set(["DIGEST_MISMATCH", "COMPRESSION_INVALID"]);
    await assert.rejects(
      collect(readFile(archive, new MemoryBlob(blob), "etc/passwd")),
      (error: { code?: string }) => codes.has(error.code ?? ""),
    );
  });

  test("has no content for what is no regular file", async () => {
    const archive = await openVector("everything.default.blob");
    const blob = new MemoryBlob(readVector("everything.default.blob"));
    for (const path of ["etc", "nowhere", "bin/alias", ""]) {
      await assert.rejects(collect(readFile(archive, blob, path)), { code: "FILE_NOT_FOUND" });
    }
  });

  test("ends with its signal", async () => {
    const archive = await openVector("everything.default.blob");
    const blob = new MemoryBlob(readVector("everything.default.blob"));
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(collect(readFile(archive, blob, "bin/tool", { signal })), { message: "enough" });
  });
});

function recording(bytes: Uint8Array, ranges: ByteRange[]): BlobSource {
  const blob = new MemoryBlob(bytes);
  return {
    size: blob.size,
    read: (range, options) => {
      ranges.push(range);
      return blob.read(range, options);
    },
    stream: (range, options) => blob.stream(range, options),
  };
}
