/**
 * The reference library reads what esgz writes: it opens every layer, verifies it, and finds the files that Python's
 * tarfile finds in the tar.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { ConvertOptions } from "../../src/convert/index.ts";
import { EVERYTHING, Workshop } from "../../src/convert/sample-image.fixture.ts";
import { createCompressor } from "../../src/estargz/index.ts";
import { type Descriptor, hexOf, parseManifest } from "../../src/oci/index.ts";
import { buildGoProgram, type GoProgram } from "./go-program.ts";

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, "reference");
const VECTORS = join(import.meta.dirname, "../vectors");
const TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest";

/** What Python's tarfile says about a path. */
interface ExpectedFile {
  readonly type: string;
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly size?: number;
  readonly sha256?: string;
  readonly target?: string;
  readonly dev?: readonly [number, number];
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** What the reference library says about a path. */
interface FoundFile {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly modtime: string;
  readonly size: number;
  readonly sha256?: string;
  readonly linkName?: string;
  readonly devMajor?: number;
  readonly devMinor?: number;
  readonly xattrs?: Readonly<Record<string, string>>;
  readonly chunks?: number;
  readonly offset?: number;
}

interface ReadResult {
  readonly tocDigest: string;
  readonly verified: boolean;
  readonly verifyError?: string;
  readonly files: Readonly<Record<string, FoundFile>>;
}

let shop: Workshop;
let expected: Readonly<Record<string, ExpectedFile>>;
let binary: GoProgram;
let buildDirectory: string;

before(async () => {
  shop = await Workshop.open();
  expected = JSON.parse(await readFile(join(VECTORS, "everything.expected.json"), "utf8")) as typeof expected;
  await shop.makeImage(shop.layout("source"), {
    layers: [{ tar: await readFile(EVERYTHING), compression: "uncompressed" }],
  });
  buildDirectory = await mkdtemp(join(tmpdir(), "esgz-reference-"));
  binary = await buildGoProgram(PROGRAM, { path: join(buildDirectory, "reference") });
});
after(async () => {
  await shop[Symbol.asyncDispose]();
  await rm(buildDirectory, { recursive: true });
});

interface Variant {
  readonly name: string;
  readonly options: Partial<ConvertOptions>;
  /** The library's own verifier knows no chunks that share a member. */
  readonly sharesMembers?: boolean;
  readonly landmark: string | undefined;
}

const NO_PREFETCH = ".no.prefetch.landmark";
const levels = Array.from({ length: 10 }, (_, level) => level);
const VARIANTS: readonly Variant[] = [
  ...levels.map((level) => ({ name: `gzip level ${level}`, options: { level }, landmark: NO_PREFETCH })),
  ...[999, 4096, 65536, 150_001].map((chunkSize) => ({
    name: `chunks of ${chunkSize}`,
    options: { chunkSize, level: 1 },
    landmark: NO_PREFETCH,
  })),
  ...[1, 20_000, 1 << 20].map((minChunkSize) => ({
    name: `members of at least ${minChunkSize}`,
    options: { chunkSize: 65536, minChunkSize },
    sharesMembers: true,
    landmark: NO_PREFETCH,
  })),
  {
    name: "prioritized files",
    options: { chunkSize: 65536, prioritize: ["data/*", "bin/hard", "etc/passwd"] },
    landmark: ".prefetch.landmark",
  },
  {
    name: "prioritized files in shared members",
    options: { chunkSize: 65536, minChunkSize: 20_000, prioritize: ["data/random", "bin/**"] },
    sharesMembers: true,
    landmark: ".prefetch.landmark",
  },
  { name: "libdeflate", options: { compressor: "libdeflate" }, landmark: NO_PREFETCH },
  { name: "an external TOC", options: { externalToc: true }, landmark: NO_PREFETCH },
  { name: "kept diff ids", options: { externalToc: true, keepDiffId: true }, landmark: undefined },
  { name: "zstd:chunked", options: { format: "zstd:chunked", chunkSize: 65536 }, landmark: NO_PREFETCH },
  {
    name: "zstd:chunked at level 19 with prioritized files",
    options: { format: "zstd:chunked", level: 19, prioritize: ["bin/tool"] },
    landmark: ".prefetch.landmark",
  },
  {
    name: "zstd:chunked with kept diff ids",
    options: { format: "zstd:chunked", keepDiffId: true },
    landmark: undefined,
  },
];

for (const [index, variant] of VARIANTS.entries()) {
  test(`the reference library reads ${variant.name}`, async (t) => {
    if ("missing" in binary) return t.skip(binary.missing);
    if (variant.options.compressor === "libdeflate" && !hasLibdeflate())
      return t.skip("libdeflate is missing");
    const layer = await convertTo(`variant${index}`, variant.options);
    const toc = layer.toc === undefined ? [] : ["-toc", layer.toc];
    const tocDigest = layer.descriptor.annotations?.[TOC_DIGEST] ?? "";
    const { stdout } = await run(binary.path, ["read", "-toc-digest", tocDigest, ...toc, layer.blob], {
      maxBuffer: 64 << 20,
    });
    const found = JSON.parse(stdout) as ReadResult;
    assert.equal(found.tocDigest, tocDigest);
    if (variant.sharesMembers !== true) assert.equal(found.verified, true, found.verifyError);
    assertSameFiles(found.files, variant);
  });
}

function hasLibdeflate(): boolean {
  try {
    return createCompressor("libdeflate").name === "libdeflate";
  } catch {
    return false;
  }
}

interface ConvertedFile {
  readonly descriptor: Descriptor;
  /** The file of the layer's blob. */
  readonly blob: string;
  /** The file of the layer of the TOC image. */
  readonly toc: string | undefined;
}

async function convertTo(layout: string, options: Partial<ConvertOptions>): Promise<ConvertedFile> {
  const report = await shop.convert(shop.layout("source"), shop.layout(layout), options);
  const file = (descriptor: Descriptor): string =>
    join(shop.directory, layout, "blobs", "sha256", hexOf(descriptor.digest));
  const layerOf = async (root: Descriptor): Promise<Descriptor> => {
    const [layer] = parseManifest(await readFile(file(root))).layers;
    assert.ok(layer !== undefined);
    return layer;
  };
  const descriptor = await layerOf(report.root);
  const tocRoot = report.tocImage?.root;
  const toc = tocRoot === undefined ? undefined : file(await layerOf(tocRoot));
  return { descriptor, blob: file(descriptor), toc };
}

function assertSameFiles(found: Readonly<Record<string, FoundFile>>, { landmark }: Variant): void {
  const paths = Object.keys(expected);
  const implied = paths.flatMap((path) => path.split("/").map((_, n, parts) => parts.slice(0, n).join("/")));
  const wanted = new Set([...paths, ...implied, "", ...(landmark === undefined ? [] : [landmark])]);
  assert.deepEqual(Object.keys(found).sort(), [...wanted].sort());
  for (const [path, file] of Object.entries(expected)) {
    const other = found[path];
    assert.ok(other !== undefined);
    if (file.type === "hardlink") assertSameFile(path, targetOf(file), other);
    else assertSameFile(path, file, other);
  }
}

/** The library shows a hard link as what it leads to. */
function targetOf(file: ExpectedFile): ExpectedFile {
  let at = file;
  while (at.type === "hardlink") {
    const next = expected[at.target ?? ""];
    assert.ok(next !== undefined);
    at = next;
  }
  return at;
}

function assertSameFile(path: string, file: ExpectedFile, found: FoundFile): void {
  const [devMajor, devMinor] = file.dev ?? [0, 0];
  assert.deepEqual(
    {
      type: found.type,
      mode: found.mode,
      uid: found.uid,
      gid: found.gid,
      size: found.size,
      sha256: found.sha256,
      linkName: found.linkName,
      dev: [found.devMajor ?? 0, found.devMinor ?? 0],
      xattrs: found.xattrs,
    },
    {
      type: file.type,
      mode: Number.parseInt(file.mode.slice(2), 8),
      uid: file.uid,
      gid: file.gid,
      size: file.size ?? 0,
      sha256: file.sha256,
      linkName: file.target,
      dev: [devMajor, devMinor],
      xattrs: file.xattrs,
    },
    path,
  );
  const seconds = found.modtime === "" ? 0 : Date.parse(found.modtime) / 1000;
  // The TOC has whole seconds.
  assert.ok(Math.abs(seconds - file.mtime) <= 0.5, `${path}: expected mtime ${file.mtime}, got ${seconds}`);
}
