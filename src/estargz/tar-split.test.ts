import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { zstdDecompressSync } from "node:zlib";
import { MemoryBlob } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, type TarMetadata } from "../tar/index.ts";
import { collect, digestOf, eventsOf } from "./archives.fixture.ts";
import { createCompressor } from "./compressor.ts";
import { openArchive } from "./open-archive.ts";
import { readFile } from "./read-file.ts";
import { writeArchive } from "./write-archive.ts";
import type { WriteArchiveOptions } from "./write-options.ts";

const CHECKSUM = "io.github.containers.zstd-chunked.manifest-checksum";
const TAR_SPLIT = "io.github.containers.zstd-chunked.tarsplit-position";

/** A line as tar-split's own library decodes it. */
interface Line {
  readonly type: 1 | 2;
  readonly name?: string;
  readonly size?: number;
  readonly payload: string | null;
  readonly position: number;
}

type Entry = Partial<TarMetadata> & { readonly name: string; readonly text?: string };

function tarOf(entries: readonly Entry[]): Uint8Array {
  const parts = entries.map(({ text = "", ...changes }) => {
    const owner = { uid: 0, gid: 0, userName: "", groupName: "", devMajor: 0, devMinor: 0, linkName: "" };
    const mtime = { seconds: 1_700_000_000, nanoseconds: 5 };
    const metadata = {
      ...owner,
      type: "reg",
      size: text.length,
      mode: 0o644,
      mtime,
      xattrs: new Map(),
    } as const;
    const header = encodeTarHeader({ ...metadata, ...changes });
    return Buffer.concat([header, Buffer.from(text), new Uint8Array(paddingOf(text.length))]);
  });
  return Buffer.concat([...parts, END_OF_ARCHIVE]);
}

async function write(tar: Uint8Array, options: Partial<WriteArchiveOptions> = {}) {
  const stream = writeArchive(eventsOf(tar), {
    format: "zstd:chunked",
    zstdDialect: "containers",
    compressor: createCompressor("zstd"),
    level: 3,
    landmark: "no-prefetch",
    jobs: 2,
    ...options,
  });
  const blob = await collect(stream);
  const summary = await stream.summary;
  const toc = JSON.parse(Buffer.from(summary.toc).toString()) as { readonly tarSplitDigest?: Digest };
  return { blob, summary, toc };
}

/** The tar-split data that the annotations of a layer point to. */
function linesOf({ blob, summary, toc }: Awaited<ReturnType<typeof write>>): readonly Line[] {
  const [offset = 0, length = 0, size = 0] = (summary.annotations[TAR_SPLIT] ?? "").split(":").map(Number);
  const compressed = blob.subarray(offset, offset + length);
  assert.equal(digestOf(compressed), toc.tarSplitDigest);
  const text = zstdDecompressSync(compressed);
  assert.equal(text.length, size);
  return text
    .toString()
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

const FILES: readonly Entry[] = [
  { name: "./", type: "dir" },
  { name: "a", text: "content of a" },
  { name: "empty" },
  { name: "b", type: "hardlink", linkName: "./a" },
  { name: "big", text: "0123456789".repeat(1000), xattrs: new Map([["user.x", Buffer.from("y")]]) },
];

suite("tar-split data", () => {
  test("has a segment for each header, a line for each file, and the end", async () => {
    const lines = linesOf(await write(tarOf(FILES)));
    assert.deepEqual(
      lines.map(({ type, name = "", size = 0 }) => [type, name, size]),
      FILES.flatMap(({ name, text = "" }): unknown[] => [
        [2, "", 0],
        [1, name, text.length],
      ]).concat([[2, "", 0]]),
    );
    assert.deepEqual(
      lines.map(({ position }) => position),
      lines.map((_, index) => index),
    );
  });

  test("rebuilds the tar from the files alone", async () => {
    const written = await write(tarOf(FILES), { chunkSize: 4096 });
    const blob = new MemoryBlob(written.blob);
    const { annotations, diffId } = written.summary;
    const archive = (await openArchive(blob, { annotations })).verifyCompressedToc(
      annotations[CHECKSUM] as Digest,
    );
    const parts: Uint8Array[] = [];
    for (const { type, name = "", payload } of linesOf(written)) {
      if (type === 2) parts.push(Buffer.from(payload ?? "", "base64"));
      else if (payload !== null) parts.push(await collect(readFile(archive, blob, name)));
    }
    assert.equal(digestOf(Buffer.concat(parts)), diffId);
  });

  test("is cut by its own length, whatever pieces the tar comes in", async () => {
    const many = tarOf(Array.from({ length: 3000 }, (_, i) => ({ name: `f${i}`, text: "x" })));
    const whole = await write(many);
    const stream = writeArchive(eventsOf(many, { piece: 700 }), {
      format: "zstd:chunked",
      zstdDialect: "containers",
      compressor: createCompressor("zstd"),
      level: 3,
      landmark: "no-prefetch",
      jobs: 1,
    });
    assert.equal(digestOf(await collect(stream)), whole.summary.blobDigest);
  });

  const DOUBTFUL: readonly (readonly [string, readonly Entry[]])[] = [
    [
      "a name occurs twice",
      [
        { name: "a", text: "1" },
        { name: "./a", text: "2" },
      ],
    ],
    ["a name is not UTF-8", [{ name: "caf\udce9", text: "1" }]],
    ["an attribute's name has an escape", [{ name: "a", xattrs: new Map([["user.a=b", Buffer.from("1")]]) }]],
  ];
  for (const [what, entries] of DOUBTFUL) {
    test(`is left out where ${what}: readers would find it at odds with the TOC`, async () => {
      const { summary, toc } = await write(tarOf(entries));
      assert.deepEqual([summary.annotations[TAR_SPLIT], toc.tarSplitDigest], [undefined, undefined]);
    });
  }
});
