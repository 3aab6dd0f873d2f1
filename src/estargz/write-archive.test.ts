import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { MemoryBlob } from "../blob/index.ts";
import {
  encodeTarHeader,
  END_OF_ARCHIVE,
  plainMetadata,
  type TarEntry,
  type TarMetadata,
} from "../tar/index.ts";
import { collect, digestOf, eventsOf, readExpectedFiles, readVector, sha256 } from "./archives.fixture.ts";
import type { Archive } from "./archive.ts";
import { createCompressor } from "./compressor.ts";
import { decodeFooter, MAX_FOOTER_SIZE } from "./footer.ts";
import { probeLibdeflate } from "./libdeflate.ts";
import { openArchive } from "./open-archive.ts";
import { readFile } from "./read-file.ts";
import type { ArchiveInput } from "./tar-layout.ts";
import { encodeTocLayer, writeArchive, type ArchiveSummary } from "./write-archive.ts";
import type { WriteArchiveOptions } from "./write-options.ts";

const TAR = readVector("everything.tar");
const ZLIB = { format: "estargz", compressor: createCompressor("zlib"), level: 6 } as const;
const ZSTD = { format: "zstd:chunked", compressor: createCompressor("zstd"), level: 3 } as const;
const CONTAINERS = { ...ZSTD, zstdDialect: "containers" } as const;

const TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest";

interface Written {
  readonly blob: Uint8Array;
  readonly summary: ArchiveSummary;
}

type Options = Partial<WriteArchiveOptions>;

async function write(input: AsyncIterable<readonly ArchiveInput[]>, options: Options = {}): Promise<Written> {
  const stream = writeArchive(input, { ...ZLIB, landmark: "no-prefetch", jobs: 2, ...options });
  const blob = await collect(stream);
  return { blob, summary: await stream.summary };
}

function writeTar(tar: Uint8Array, options: Options = {}): Promise<Written> {
  return write(eventsOf(tar, { sparse: options.losslessTar === true ? "raw" : "expand" }), options);
}

async function openWritten({ blob, summary }: Written): Promise<Archive> {
  const externalToc = await encodeTocLayer(summary.toc);
  const archive = await openArchive(new MemoryBlob(blob), { annotations: summary.annotations, externalToc });
  return archive.verify(summary.tocDigest);
}

async function contentOf(written: Written, path: string): Promise<string> {
  const content = readFile(await openWritten(written), new MemoryBlob(written.blob), path);
  return Buffer.from(await collect(content)).toString();
}

/** Decompresses with the tools of the system. */
function decompress({ blob, summary }: Written): Uint8Array {
  const tool = summary.mediaCompression === "gzip" ? "gzip" : "zstd";
  return execFileSync(tool, ["-dc"], { input: blob, maxBuffer: 1 << 28 });
}

const hasZstd = spawnSync("zstd", ["--version"]).status === 0;

const VARIANTS: readonly [string, Options][] = [
  ["defaults", {}],
  ["level 0", { level: 0 }],
  ["level 9", { level: 9 }],
  ["chunks of 64 KiB", { chunkSize: 65_536 }],
  ["chunks of 1000 bytes", { chunkSize: 1000 }],
  ["a minimum chunk size", { chunkSize: 65_536, minChunkSize: 20_000 }],
  ["an external TOC", { externalToc: true }],
  ["a lossless tar with an external TOC", { externalToc: true, losslessTar: true }],
  ["zstd:chunked", { ...ZSTD }],
  ["zstd:chunked with a minimum chunk size", { ...ZSTD, minChunkSize: 20_000 }],
  ["zstd:chunked with a lossless tar", { ...ZSTD, losslessTar: true }],
  ["zstd:chunked for containers-storage", { ...CONTAINERS }],
  ["zstd:chunked for containers-storage with chunks of 1000 bytes", { ...CONTAINERS, chunkSize: 1000 }],
  ["a landmark behind all files", { landmark: "prefetch" }],
];

suite("writeArchive()", () => {
  for (const [what, options] of VARIANTS) {
    test(`writes what openArchive() reads: ${what}`, async () => {
      const written = await writeTar(TAR, options);
      const archive = await openWritten(written);
      const expected = readExpectedFiles();
      assert.deepEqual(archive.entries.map(({ path }) => path).toSorted(), [...expected.keys()].toSorted());
      for (const entry of archive.entries) {
        const file = expected.get(entry.path);
        assert.equal(entry.type, file?.type, entry.path);
        assert.equal(entry.mtime.seconds + entry.mtime.nanoseconds / 1e9, file?.mtime, entry.path);
        assert.equal(entry.linkName, file?.target ?? "", entry.path);
        if (entry.type !== "reg") continue;
        const content = await collect(readFile(archive, new MemoryBlob(written.blob), entry.path));
        assert.equal(sha256(content), file?.sha256, entry.path);
      }
    });

    test(`writes the same bytes with 1, 2 and 16 jobs, and however the tar arrives: ${what}`, async () => {
      const sparse = options.losslessTar === true ? "raw" : "expand";
      const one = await write(eventsOf(TAR, { sparse }), { ...options, jobs: 1 });
      const two = await write(eventsOf(TAR, { sparse, piece: 1000 }), { ...options, jobs: 2 });
      const many = await write(eventsOf(TAR, { sparse }), { ...options, jobs: 16, maxBytesInFlight: 1 });
      assert.equal(sha256(two.blob), sha256(one.blob));
      assert.equal(sha256(many.blob), sha256(one.blob));
    });

    test(`says the truth in its summary: ${what}`, async (t) => {
      if (options.format === "zstd:chunked" && !hasZstd) return t.skip("zstd is missing");
      const written = await writeTar(TAR, options);
      const { blob, summary } = written;
      const tar = decompress(written);
      assert.equal(summary.blobDigest, digestOf(blob));
      assert.equal(summary.blobSize, blob.length);
      assert.equal(summary.diffId, digestOf(tar));
      assert.equal(summary.uncompressedSize, tar.length);
      assert.equal(summary.tocDigest, digestOf(summary.toc));
      const forStargz = options.zstdDialect !== "containers";
      const { annotations } = summary;
      assert.equal(annotations[TOC_DIGEST], forStargz ? summary.tocDigest : undefined);
      const size = forStargz ? String(tar.length) : undefined;
      assert.equal(annotations["io.containers.estargz.uncompressed-size"], size);
      const footer = decodeFooter(blob.subarray(-MAX_FOOTER_SIZE), blob.length);
      const place = footer.kind === "estargz" ? `${footer.tocOffset}/${blob.length}` : undefined;
      assert.equal(annotations["containerd.io/snapshot/esgz/toc.places"], place);
      if (options.losslessTar === true) assert.equal(summary.diffId, digestOf(TAR));
    });
  }

  test("writes tars that Python reads to the same files", (t) => {
    if (spawnSync("python3", ["--version"]).status !== 0) return t.skip("python3 is missing");
    return withPython(t.signal);
  });

  test("writes tars that GNU tar lists, with the TOC's file behind all others", async () => {
    const list = (tar: Uint8Array): string[] =>
      execFileSync("tar", ["-tf", "-"], { input: tar }).toString().trimEnd().split("\n");
    const names = list(decompress(await writeTar(TAR)));
    assert.deepEqual(names, [".no.prefetch.landmark", ...list(TAR), "stargz.index.json"]);
  });

  test("is no larger than the reference with the same options", async () => {
    const ours = await writeTar(TAR, { level: 9, chunkSize: 65_536 });
    assert.ok(ours.blob.length <= readVector("everything.chunk64k.blob").length, `${ours.blob.length} bytes`);
  });

  test("places the landmark alone in its member, behind the prioritized files", async () => {
    const tar = tarOf([file("first", "1"), file("second", "2")]);
    const events = (await Array.fromAsync(eventsOf(tar))).flat();
    const second = events.findIndex((event) => event.kind === "entry" && event.entry.name === "second");
    const input = [...events.slice(0, second), { kind: "landmark" } as const, ...events.slice(second)];
    const written = await write(batches(input), { landmark: "prefetch", minChunkSize: 100_000 });
    const archive = await openWritten(written);
    assert.equal(archive.landmark, "prefetch");
    assert.equal(archive.prefetchSize, archive.get("first")?.chunks[0]?.blobEnd);
    assert.ok((archive.get("second")?.chunks[0]?.blobOffset ?? 0) > archive.prefetchSize);
    const landmark = gunzipSync(
      written.blob.subarray(archive.prefetchSize, archive.get("second")?.chunks[0]?.blobOffset),
    );
    assert.equal(landmark[0], 0x0f);
    assert.equal(landmark.length, 1024);
  });

  test("writes an archive of nothing", async () => {
    const archive = await openWritten(await writeTar(END_OF_ARCHIVE));
    assert.deepEqual(archive.entries, []);
    const lossless = await writeTar(END_OF_ARCHIVE, { externalToc: true, losslessTar: true });
    assert.equal(lossless.summary.diffId, digestOf(END_OF_ARCHIVE));
    assert.deepEqual((await openWritten(lossless)).entries, []);
  });

  test("cuts long runs of headers, and files behind them still read", async () => {
    const links = Array.from({ length: 12_000 }, (_, i) =>
      entryOf({ name: `l${i}`, type: "symlink", linkName: "x" }),
    );
    const written = await writeTar(tarOf([file("a", "A"), ...links, file("b", "B")]));
    assert.equal(await contentOf(written, "a"), "A");
    assert.equal(await contentOf(written, "b"), "B");
    assert.equal((await openWritten(written)).entries.length, 12_002);
  });

  test("drops entries with the names of the format, and refuses them in a lossless tar", async () => {
    const tar = tarOf([
      file("./stargz.index.json", "{}"),
      file(".prefetch.landmark", "\x0f"),
      file("a", "A"),
    ]);
    const archive = await openWritten(await writeTar(tar));
    assert.deepEqual(
      archive.entries.map(({ path }) => path),
      ["a"],
    );
    const lossless = writeTar(tar, { externalToc: true, losslessTar: true });
    await assert.rejects(lossless, { code: "NOT_SUPPORTED" });
  });

  test("keeps names that are not UTF-8", async () => {
    const archive = await openWritten(await writeTar(tarOf([file("caf\udce9", "x")])));
    assert.equal(archive.entries[0]?.name, "caf\udce9");
  });

  test("writes with libdeflate what node reads", async (t) => {
    if (!probeLibdeflate().usable) return t.skip("libdeflate is missing");
    const written = await writeTar(TAR, { compressor: createCompressor("libdeflate") });
    const again = await writeTar(TAR, { compressor: createCompressor("libdeflate"), jobs: 16 });
    assert.equal(digestOf(gunzipSync(written.blob)), written.summary.diffId);
    assert.equal(sha256(again.blob), sha256(written.blob));
  });

  const refused: [string, Options, string][] = [
    ["zstd:chunked with an external TOC", { ...ZSTD, externalToc: true }, "NOT_SUPPORTED"],
    ["a lossless tar with the TOC inside", { losslessTar: true }, "NOT_SUPPORTED"],
    ["gzip for zstd:chunked", { format: "zstd:chunked" }, "NOT_SUPPORTED"],
    ["a lossless tar for containers-storage", { ...CONTAINERS, losslessTar: true }, "NOT_SUPPORTED"],
    ["shared members for containers-storage", { ...CONTAINERS, minChunkSize: 9 }, "NOT_SUPPORTED"],
    ["a chunk size of 0", { chunkSize: 0 }, "CONFIGURATION_INVALID"],
    ["a chunk size of 1 GiB", { chunkSize: 2 ** 30 }, "CONFIGURATION_INVALID"],
    ["a negative minimum", { minChunkSize: -1 }, "CONFIGURATION_INVALID"],
    ["no jobs", { jobs: 0 }, "CONFIGURATION_INVALID"],
  ];
  for (const [what, options, code] of refused) {
    test(`refuses ${what}`, () => {
      const start = (): unknown =>
        writeArchive(eventsOf(TAR), { ...ZLIB, landmark: "no-prefetch", jobs: 1, ...options });
      assert.throws(start, { code });
    });
  }

  test("refuses a level that the compressor does not have", async () => {
    await assert.rejects(writeTar(TAR, { level: 10 }), { code: "CONFIGURATION_INVALID" });
  });

  test("passes a failure of its input on, to the stream and to the summary", async () => {
    async function* failing(): AsyncGenerator<readonly ArchiveInput[]> {
      yield* eventsOf(TAR.subarray(0, 4096 * 10));
      throw new Error("the line went dead");
    }
    const input = failing();
    const stream = writeArchive(input, { ...ZLIB, landmark: "no-prefetch", jobs: 2 });
    await assert.rejects(collect(stream));
    await assert.rejects(stream.summary);
  });

  test("has no summary when its stream is left early", async () => {
    const stream = writeArchive(eventsOf(TAR), { ...ZLIB, landmark: "no-prefetch", jobs: 2 });
    for await (const part of stream) if (part.length > 0) break;
    await assert.rejects(stream.summary, { code: "ABORTED" });
  });

  test("ends with its signal", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(writeTar(TAR, { signal }), { message: "enough" });
  });
});

suite("writeArchive() and duplicates", () => {
  test("the last of two files with one path wins", async () => {
    const written = await writeTar(tarOf([file("f", "old"), file("g", "other"), file("./f", "new")]));
    assert.equal(await contentOf(written, "f"), "new");
    const names = (await openWritten(written)).entries.map(({ name }) => name);
    assert.deepEqual(names, ["g", "./f"]);
  });

  test("hard links keep the content that they were made to", async () => {
    const written = await writeTar(
      tarOf([file("f", "old"), link("a", "f"), link("b", "f"), file("f", "new"), link("c", "f")]),
    );
    const found = await Promise.all(["f", "a", "b", "c"].map((path) => contentOf(written, path)));
    assert.deepEqual(found, ["new", "old", "old", "new"]);
    const archive = await openWritten(written);
    assert.deepEqual(
      archive.entries.map(({ path, type, linkName }) => [path, type, linkName]),
      [
        ["a", "reg", ""],
        ["b", "hardlink", "a"],
        ["f", "reg", ""],
        ["c", "hardlink", "f"],
      ],
    );
  });

  test("a name that is made a link to a link to itself keeps its content", async () => {
    const written = await writeTar(tarOf([file("f", "old"), link("a", "f"), link("f", "a"), link("a", "a")]));
    assert.deepEqual([await contentOf(written, "f"), await contentOf(written, "a")], ["old", "old"]);
  });

  test("hard links may come before their target, in chains", async () => {
    const written = await writeTar(tarOf([link("a", "b"), link("b", "f"), link("c", "a"), file("f", "x")]));
    const found = await Promise.all(["a", "b", "c", "f"].map((path) => contentOf(written, path)));
    assert.deepEqual(found, ["x", "x", "x", "x"]);
  });

  for (const [what, entries] of [
    ["to nothing", [link("a", "nowhere")]],
    ["in a cycle", [link("a", "b"), link("b", "a")]],
    ["to itself", [link("a", "a")]],
    ["to a directory", [entryOf({ name: "d/", type: "dir" }), link("a", "d")]],
  ] as const) {
    test(`refuses a hard link ${what}`, async () => {
      await assert.rejects(writeTar(tarOf(entries)), { code: "TAR_INVALID" });
    });
  }

  test("many duplicates and links are no more work than as many files", async () => {
    const entries = Array.from({ length: 10_000 }, (_, i) => [
      file("f", String(i)),
      link(`l${i}`, "f"),
    ]).flat();
    const written = await writeTar(tarOf(entries), { minChunkSize: 1 << 20 });
    assert.equal(await contentOf(written, "l1234"), "1234");
  });
});

async function withPython(signal: AbortSignal): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "esgz-estargz-"));
  try {
    for (const options of [{}, { chunkSize: 65_536, minChunkSize: 20_000 }, { externalToc: true }]) {
      const file = join(directory, "layer.tar");
      writeFileSync(file, decompress(await writeTar(TAR, { ...options, signal })));
      const output = execFileSync("python3", ["-c", PYTHON, file], { maxBuffer: 1 << 26 });
      const found = JSON.parse(output.toString()) as Record<string, string | null>;
      const expected = [...readExpectedFiles()].map(([path, entry]) => [path, entry.sha256 ?? null] as const);
      assert.deepEqual(found, Object.fromEntries(expected));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

const PYTHON = `
import tarfile, hashlib, json, posixpath, sys
found = {}
with tarfile.open(sys.argv[1]) as tar:
    for member in tar:
        path = posixpath.normpath("/" + member.name).lstrip("/")
        if path in (".no.prefetch.landmark", "stargz.index.json"):
            continue
        content = tar.extractfile(member) if member.isreg() else None
        found[path] = hashlib.sha256(content.read()).hexdigest() if content else None
print(json.dumps(found))
`;

interface TestEntry {
  readonly metadata: TarMetadata;
  readonly content: Uint8Array;
}

function entryOf(metadata: Partial<TarEntry> & Pick<TarMetadata, "name" | "type">, content = ""): TestEntry {
  const bytes = Buffer.from(content);
  const mtime = { seconds: 1, nanoseconds: 0 };
  const full = plainMetadata({ size: bytes.length, mtime, ...metadata });
  return { metadata: full, content: bytes };
}

function file(name: string, content: string): TestEntry {
  return entryOf({ name, type: "reg" }, content);
}

function link(name: string, linkName: string): TestEntry {
  return entryOf({ name, type: "hardlink", linkName });
}

function tarOf(entries: readonly TestEntry[]): Uint8Array {
  const parts = entries.flatMap(({ metadata, content }) => [
    encodeTarHeader(metadata),
    content,
    Buffer.alloc((512 - (content.length % 512)) % 512),
  ]);
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

async function* batches(events: readonly ArchiveInput[]): AsyncGenerator<readonly ArchiveInput[]> {
  yield events;
}
