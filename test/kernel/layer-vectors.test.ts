/**
 * Layers written by other tools, laid out for the store and mounted by the running kernel, are what GNU tar unpacks.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { gunzipSync } from "node:zlib";
import { hash } from "node:crypto";
import { systemClock } from "../../src/async/index.ts";
import { MemoryBlob } from "../../src/blob/index.ts";
import { type Mount, mountErofs, mountOverlay, probeErofsMount } from "../../src/erofs-mount/index.ts";
import { type Archive, inflateMember, openArchive } from "../../src/estargz/index.ts";
import type { Layer as ImageLayer } from "../../src/image/index.ts";
import { compileLayerArchive, mergeLayerMetas, stageWholeLayer } from "../../src/lazyfs/index.ts";
import { ANNOTATIONS, type Digest, type LayerCompression, layerMediaType } from "../../src/oci/index.ts";
import { type Layer, openStore, type Store } from "../../src/store/index.ts";
import { tarOf as tarOfFiles } from "../../src/tar/make-tar.fixture.ts";
import { describeMount } from "./describe-mount.ts";
import type { Descriptions } from "./erofs-trees.ts";

const VECTORS = join(import.meta.dirname, "../vectors");
const IMPLIED = "trusted.overlay.esgz.implied";
const OPAQUE = "trusted.overlay.opaque";
const OWN_FILES: readonly string[] = ["/.prefetch.landmark", "/.no.prefetch.landmark", "/stargz.index.json"];

interface Vector {
  readonly file: string;
  readonly tocDigest?: Digest;
  /** Of zstd:chunked by skopeo: the digest of the compressed TOC, and where that lies. */
  readonly checksum?: { readonly digest: Digest; readonly position: string };
  readonly externalToc?: string;
  readonly compression?: LayerCompression;
  /** GNU tar unpacks files in front of the entries of their directories, and leaves these touched. */
  readonly touchedDirectories?: boolean;
}

/** The digests are those of `test/vectors/README.md`. */
const LAYERS: readonly Vector[] = [
  {
    file: "everything.default.blob",
    tocDigest: "sha256:df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  },
  {
    file: "everything.chunk64k.blob",
    tocDigest: "sha256:01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
  },
  {
    file: "everything.minchunk.blob",
    tocDigest: "sha256:578d3da8df905d9f37b8332100bccbbcd9cc1994a031459f83c26290d69c9507",
  },
  {
    file: "everything.prioritized.blob",
    tocDigest: "sha256:645dc2585a9c075d3ba8740c0a59ee390ae5c3158056eec3690cdd066abc23b1",
    touchedDirectories: true,
  },
  {
    file: "everything.externaltoc.blob",
    tocDigest: "sha256:01ee0b57da0c1608c58cb4235f351e42dee4fa05a9e79e00aeb51992da87af91",
    externalToc: "everything.externaltoc.toc.tar.gz",
  },
  {
    file: "everything.zstdchunked.blob",
    tocDigest: "sha256:8ed0f5bdd3669d6ae71833bb2cbeb90bf56d7c6ecbdae7855c22db8f8f61922a",
    compression: "zstd",
  },
  {
    file: "everything.zstdchunked-skopeo.blob",
    checksum: {
      digest: "sha256:b8a357a6e8069f1fba4235897a118ab65f0d8e4f8442f787767f524b371ec395",
      position: "375720:25037:119669:1",
    },
    compression: "zstd",
  },
  {
    file: "everything.buildkit.blob",
    tocDigest: "sha256:2a41b1ba7ed27a40ebfbc66d5be7cf7089db25b4f564e8ac3879bc10b70793fe",
  },
  {
    file: "everything.legacy-stargz.blob",
    tocDigest: "sha256:df198a3639deddc3ca6eeb0325f539a95ef547da9f34c353ca94dc6f08a4ee7d",
  },
  {
    file: "small.default.blob",
    tocDigest: "sha256:50d8a9b749da50c88ac82e13d38e03fa2dbe9e490d1e333caa6bcbafef261dc4",
  },
  {
    file: "empty.default.blob",
    tocDigest: "sha256:365da7f65e845a0b3f76b74a4b364a11d085759a793a12869000fc389fd09d2b",
  },
];

for (const vector of LAYERS) {
  test(`${vector.file}, lazy and filled, is what GNU tar unpacks`, async (t) => {
    const place = await openPlace(t);
    if (place === undefined) return;
    const blob = new Uint8Array(readFileSync(join(VECTORS, vector.file)));
    const archive = await openVector(vector, blob);
    const layer = await fillLayer(place.store, archive, blob);
    const unpacked = unpack(place.directory, tarOf(blob, vector.compression ?? "gzip"));
    // A TOC has whole seconds.
    const mtimeUnitNs = 1_000_000_000n;
    const { touchedDirectories } = vector;
    await compareMounts(t, place, { layer, unpacked, mtimeUnitNs, touchedDirectories });
  });
}

const WHOLE: readonly (readonly [file: string, compression: LayerCompression])[] = [
  ["everything.tar", "uncompressed"],
  ["everything.default.blob", "gzip"],
  ["everything.zstdchunked.blob", "zstd"],
];

for (const [file, compression] of WHOLE) {
  test(`${file}, read whole, is what GNU tar unpacks, to the nanosecond`, async (t) => {
    const place = await openPlace(t);
    if (place === undefined) return;
    const blob = new Uint8Array(readFileSync(join(VECTORS, file)));
    const { layer } = await stageWholeLayer(imageLayerOf(blob, compression), { store: place.store });
    const unpacked = unpack(place.directory, tarOf(blob, compression));
    await compareMounts(t, place, { layer, unpacked, mtimeUnitNs: 1n });
  });
}

test("a GNU sparse file, read whole, is what GNU tar unpacks", async (t) => {
  const place = await openPlace(t);
  if (place === undefined) return;
  const source = join(place.directory, "source");
  mkdirSync(source);
  execFileSync("sh", [
    "-c",
    `cd "${source}" && truncate -s 3000000 sparse && printf begin | dd of=sparse conv=notrunc status=none &&
     printf middle | dd of=sparse bs=1 seek=1234567 conv=notrunc status=none && truncate -s 100000000 holes`,
  ]);
  const tar = new Uint8Array(
    execFileSync("tar", ["--sparse", "--format=pax", "-C", source, "-cf", "-", "."], { maxBuffer: 1 << 26 }),
  );
  const { layer } = await stageWholeLayer(imageLayerOf(tar, "uncompressed"), { store: place.store });
  assert.ok(lstatSync(layer.dataPath).blocks * 512 < 1 << 20, "holes take no room");
  await compareMounts(t, place, { layer, unpacked: unpack(place.directory, tar), mtimeUnitNs: 1n });
});

test("the merged image of layers is what overlayfs shows of them", async (t) => {
  const place = await openPlace(t);
  if (place === undefined) return;
  const layers: Layer[] = [];
  for (const [index, script] of [BASE, MIDDLE, TOP].entries()) {
    const source = join(place.directory, `layer${index}`);
    mkdirSync(source);
    execFileSync("sh", ["-ec", `cd "${source}"; ${script}`]);
    const tar = execFileSync("tar", ["--xattrs", "--xattrs-include=*", "-C", source, "-cf", "-", "."]);
    const staged = await stageWholeLayer(imageLayerOf(new Uint8Array(tar), "uncompressed"), {
      store: place.store,
    });
    layers.push(staged.layer);
  }
  const expected = await describeOverlay(place, layers);
  assert.ok("/etc/new" in expected && !("/etc/old" in expected) && !("/var/cache/a" in expected));
  const meta = join(place.directory, "merged");
  writeFileSync(meta, mergeFilesOf(layers));
  const found = await whileMounted(
    place,
    { meta, devices: layers.map(({ dataPath }) => dataPath) },
    describeMount,
  );
  assertSame(withoutDirectoryLinks(found), withoutDirectoryLinks(expected));
});

function mergeFilesOf(layers: readonly Layer[]): Uint8Array {
  return mergeLayerMetas(
    layers.map(({ metaPath }) => readFileSync(metaPath)),
    layers.map(({ dataSize }) => dataSize),
  );
}

test("hard links to files of a layer below are, in the merged image, what GNU tar makes of them", async (t) => {
  const place = await openPlace(t);
  if (place === undefined) return;
  const unpacked = join(place.directory, "unpacked");
  mkdirSync(unpacked);
  const layers: Layer[] = [];
  for (const [index, tar] of LINKED_LAYERS.entries()) {
    const file = join(place.directory, `layer${index}.tar`);
    writeFileSync(file, tar);
    // As tools do that unpack all layers into one directory.
    execFileSync("tar", ["-C", unpacked, "-p", "--numeric-owner", "--same-owner", "-xf", file]);
    const staged = await stageWholeLayer(imageLayerOf(tar, "uncompressed"), { store: place.store });
    layers.push(staged.layer);
  }
  const meta = join(place.directory, "merged");
  writeFileSync(meta, mergeFilesOf(layers));
  const devices = layers.map(({ dataPath }) => dataPath);
  const filesIn = (found: Descriptions): Descriptions =>
    Object.fromEntries(Object.entries(found).filter(([, { type }]) => type !== "dir"));
  const found = filesIn(await whileMounted(place, { meta, devices }, describeMount));
  assert.equal(found["/usr/bin/tool"]?.nlink, 4);
  assertSame(found, filesIn(describeMount(unpacked)));
});

const LINKED_LAYERS: readonly Uint8Array[] = [
  tarOfFiles([
    { name: "usr/bin/tool", content: "#!/bin/sh\n".repeat(1000), mode: 0o4755, uid: 7 },
    { name: "bin", type: "symlink", linkName: "usr/bin" },
  ]),
  tarOfFiles([
    { name: "usr/bin/alias", type: "hardlink", linkName: "usr/bin/tool" },
    { name: "opt/tool", type: "hardlink", linkName: "bin/tool" },
    { name: "opt/bin", type: "hardlink", linkName: "bin" },
  ]),
  tarOfFiles([{ name: "opt/again", type: "hardlink", linkName: "opt/tool" }]),
];

/** What overlayfs shows of layers, the lowest first, each mounted by itself. */
async function describeOverlay(place: Place, layers: readonly Layer[]): Promise<Descriptions> {
  const mounts: Mount[] = [];
  try {
    for (const [index, { metaPath, dataPath }] of layers.entries()) {
      const directory = join(place.directory, `mount${index}`);
      mkdirSync(directory);
      mounts.unshift(await mountErofs({ meta: metaPath, devices: [dataPath], directory }));
    }
    const directory = join(place.directory, "overlay");
    mkdirSync(directory);
    await using overlay = await mountOverlay({ lower: mounts.map((mount) => mount.directory), directory });
    return describeMount(overlay.directory);
  } finally {
    for (const mount of mounts) await mount.close();
  }
}

const BASE = `mkdir -p etc var/cache opt/tool/bin; echo old > etc/old; echo kept > etc/kept; echo a > var/cache/a;
  echo x > opt/tool/bin/x; ln opt/tool/bin/x opt/tool/bin/y; ln -s kept etc/link; chmod 1777 var/cache; mkfifo etc/pipe`;
const MIDDLE = `mkdir -p etc var/cache opt; touch etc/.wh.old var/cache/.wh..wh..opq; echo b > var/cache/b;
  echo file > opt/tool; mkdir etc/link; echo inside > etc/link/inside`;
const TOP = `mkdir -p etc/kept opt/tool; echo new > etc/new; echo deep > etc/kept/deep; echo z > opt/tool/z;
  touch opt/.wh.tool; mknod etc/null c 1 3`;

/** Where a test works: a store and a directory that are gone afterwards. */
interface Place {
  readonly store: Store;
  readonly directory: string;
}

async function openPlace(t: TestContext): Promise<Place | undefined> {
  if (process.getuid?.() !== 0) return skip(t, "needs root");
  if (spawnSync("zstd", ["--version"]).status !== 0) return skip(t, "needs zstd");
  if (spawnSync("tar", ["--version"]).stdout?.includes("GNU tar") !== true) return skip(t, "needs GNU tar");
  const { method } = await probeErofsMount();
  if (method === undefined) return skip(t, "EROFS cannot be mounted here");
  const directory = mkdtempSync(join(tmpdir(), "esgz-vectors-"));
  const store = await openStore(join(directory, "store"), { clock: systemClock, pid: process.pid });
  t.after(async () => {
    await store.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { store, directory };
}

function skip(t: TestContext, reason: string): undefined {
  t.skip(reason);
  return undefined;
}

async function openVector(vector: Vector, bytes: Uint8Array): Promise<Archive> {
  const { tocDigest, checksum, externalToc } = vector;
  const annotations = checksum === undefined ? {} : { [ANNOTATIONS.zstdPosition]: checksum.position };
  const found = await openArchive(new MemoryBlob(bytes), {
    annotations,
    externalToc:
      externalToc === undefined ? undefined : new Uint8Array(readFileSync(join(VECTORS, externalToc))),
  });
  if (checksum !== undefined) return found.verifyCompressedToc(checksum.digest);
  assert.ok(tocDigest !== undefined);
  return found.verify(tocDigest);
}

/** Makes a layer and fills it as its chunk table says. */
async function fillLayer(store: Store, archive: Archive, blob: Uint8Array): Promise<Layer> {
  const { meta, rows, dataSize } = compileLayerArchive(archive);
  const { layer } = await store.createLayer(sha256(blob), {
    meta,
    chunks: { rows, dataSize },
    source: {
      mediaType: layerMediaType("oci", archive.compression),
      blobSize: blob.length,
      compression: archive.compression,
      tocDigest: archive.tocDigest,
      prefetchSize: 0,
      locations: [],
      blobVerified: false,
    },
  });
  for (const [index, { blobOffset, memberSize, innerOffset, size }] of rows.entries()) {
    const member = inflateMember(blob.subarray(blobOffset, blobOffset + memberSize), {
      compression: archive.compression,
      size: innerOffset + size,
    });
    await layer.writeChunk(index, member.subarray(innerOffset, innerOffset + size));
  }
  assert.equal(layer.complete, true);
  return layer;
}

function imageLayerOf(bytes: Uint8Array, compression: LayerCompression): ImageLayer {
  const mediaType = layerMediaType("oci", compression);
  const descriptor = { mediaType, digest: sha256(bytes), size: bytes.length };
  return { index: 0, descriptor, compression, blob: new MemoryBlob(bytes) };
}

function sha256(bytes: Uint8Array): Digest {
  return `sha256:${hash("sha256", bytes)}`;
}

function tarOf(blob: Uint8Array, compression: LayerCompression): Uint8Array {
  if (compression === "uncompressed") return blob;
  if (compression === "gzip") return gunzipSync(blob);
  return execFileSync("zstd", ["-dc"], { input: blob, maxBuffer: 1 << 26 });
}

/** What GNU tar makes of a tar. */
interface Unpacked {
  readonly found: Descriptions;
  /** The paths that have an entry of their own. */
  readonly stated: ReadonlySet<string>;
}

function unpack(directory: string, tar: Uint8Array): Unpacked {
  const target = join(directory, "unpacked");
  mkdirSync(target);
  const options = ["--xattrs", "--xattrs-include=*", "--numeric-owner", "--same-owner", "-p"];
  // From a file: tar stops reading at the end of the archive, which may be in front of the end of a pipe.
  const file = join(directory, "layer.tar");
  writeFileSync(file, tar);
  execFileSync("tar", [...options, "-C", target, "-xf", file]);
  const names = execFileSync("tar", ["--quoting-style=escape", "-tf", file], { encoding: "utf8" });
  const stated = names.split("\n").map((name) => `/${name.replace(/^\.?\/+/, "").replace(/\/$/, "")}`);
  return { found: describeMount(target), stated: new Set(stated.map((path) => (path === "/" ? "" : path))) };
}

/** Compares a layer's own image, and the merged one of this layer alone, with what was unpacked. */
async function compareMounts(
  t: TestContext,
  place: Place,
  options: Precision & { readonly layer: Layer; readonly unpacked: Unpacked },
): Promise<void> {
  const { layer, unpacked } = options;
  const devices = [layer.dataPath];
  const own = await whileMounted(place, { meta: layer.metaPath, devices }, describeMount);
  assertSame(comparable(own, options), comparable(expectedLayer(unpacked), options));
  const merged = join(place.directory, "merged");
  writeFileSync(merged, mergeLayerMetas([readFileSync(layer.metaPath)], [layer.dataSize]));
  const found = await whileMounted(place, { meta: merged, devices }, describeMount);
  const visible = Object.entries(expectedLayer(unpacked)).filter(([, { type, content }]) => {
    return type !== "char" || content !== "0:0";
  });
  const expected = withoutMarks(comparable(Object.fromEntries(visible), options));
  assertSame(withoutImplied(comparable(found, options), expected), expected);
  t.diagnostic(`${Object.keys(own).length} paths`);
}

/** Compares path by path, so that a failure shows what differs and not two whole trees. */
function assertSame(found: Descriptions, expected: Descriptions): void {
  assert.deepEqual(Object.keys(found).sort(), Object.keys(expected).sort());
  for (const [path, described] of Object.entries(expected)) assert.deepEqual(found[path], described, path);
}

/** Without the times of directories that no entry states: no mark tells them any more. */
function withoutImplied(found: Descriptions, expected: Descriptions): Descriptions {
  return Object.fromEntries(
    Object.entries(found).map(([path, described]) => [
      path,
      expected[path]?.mtime === "" ? { ...described, mtime: "" } : described,
    ]),
  );
}

async function whileMounted(
  place: Place,
  image: { readonly meta: string; readonly devices: readonly string[] },
  describe: (directory: string) => Descriptions,
): Promise<Descriptions> {
  const directory = join(place.directory, "mounted");
  mkdirSync(directory, { recursive: true });
  await using mounted = await mountErofs({ ...image, directory });
  return describe(mounted.directory);
}

/** What was unpacked, as the metadata image of a layer has it. */
function expectedLayer({ found, stated }: Unpacked): Descriptions {
  const expected: Descriptions = {};
  const opaque = new Set<string>();
  for (const [path, described] of Object.entries(found)) {
    if (OWN_FILES.includes(path)) continue;
    const slash = path.lastIndexOf("/");
    const [parent, name] = [path.slice(0, slash), path.slice(slash + 1)];
    if (name === ".wh..wh..opq") opaque.add(parent);
    else if (name.startsWith(".wh.")) {
      expected[`${parent}/${name.slice(".wh.".length)}`] = {
        ...described,
        type: "char",
        sameAs: `${parent}/${name.slice(".wh.".length)}`,
        content: "0:0",
        mode: 0,
        owner: "0:0",
      };
    } else {
      const isImplied = described.type === "dir" && !stated.has(path) && !isQuoted(path);
      expected[path] = isImplied ? { ...described, xattrs: { [IMPLIED]: "79" } } : described;
    }
  }
  for (const path of opaque) {
    const described = expected[path];
    if (described === undefined) continue;
    expected[path] = { ...described, xattrs: { ...described.xattrs, [OPAQUE]: "79" } };
  }
  return expected;
}

/** Whether tar's listing shows a path in another way than it is. */
function isQuoted(path: string): boolean {
  return /[^ -~]|\\/.test(path);
}

/** How exactly times can be compared. */
interface Precision {
  readonly mtimeUnitNs: bigint;
  readonly touchedDirectories?: boolean | undefined;
}

/** What can be compared: filesystems count the links of directories as they like, and nothing says when implied ones changed. */
function comparable(
  found: Descriptions,
  { mtimeUnitNs, touchedDirectories = false }: Precision,
): Descriptions {
  const entries = Object.entries(withoutDirectoryLinks(found)).map(([path, described]) => {
    const isTouched = touchedDirectories && described.type === "dir";
    const isUnknown = isTouched || IMPLIED in described.xattrs || path === "";
    const mtime = isUnknown ? "" : `${(BigInt(described.mtime) + mtimeUnitNs / 2n) / mtimeUnitNs}`;
    return [path, { ...described, mtime, ...(path === "" ? { mode: 0, xattrs: {} } : {}) }] as const;
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function withoutDirectoryLinks(found: Descriptions): Descriptions {
  return Object.fromEntries(
    Object.entries(found).map(([path, described]) => [
      path,
      described.type === "dir" ? { ...described, nlink: 0 } : described,
    ]),
  );
}

function withoutMarks(found: Descriptions): Descriptions {
  return Object.fromEntries(
    Object.entries(found).map(([path, described]) => {
      const xattrs = Object.entries(described.xattrs).filter(
        ([name]) => !name.startsWith("trusted.overlay."),
      );
      return [path, { ...described, xattrs: Object.fromEntries(xattrs) }];
    }),
  );
}
