/**
 * Metadata images are kept in stores and compared by digest, so the same layers must give the same bytes in every version.
 */
import assert from "node:assert/strict";
import { hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { MemoryBlob } from "../blob/index.ts";
import type { ErofsExtent } from "../erofs/index.ts";
import { openArchive } from "../estargz/index.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import { compileLayer } from "./compile-layer.ts";
import type { LayerTreeEntry } from "./layer-tree-nodes.ts";
import { LayerTree } from "./layer-tree.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

const BLOCK = 4096;
const DATA_SIZE = 4096 * BLOCK;

/** Enough of a digest to tell. */
function digestOf(bytes: Uint8Array): string {
  return hash("sha256", bytes).slice(0, 16);
}

/** Digests of the metadata, and of it merged with itself. */
const VECTORS: Readonly<Record<string, readonly [compiled: string, merged: string]>> = {
  "empty.default.blob": ["9346a70998b58e53", "db347859c3577f53"],
  "everything.buildkit.blob": ["74e2709aa0231fd7", "59f561ac92fc5e5d"],
  "everything.chunk64k.blob": ["4a475abc36bea11b", "c0e8d1ca1f1ab4c4"],
  "everything.default.blob": ["4a475abc36bea11b", "c0e8d1ca1f1ab4c4"],
  "everything.minchunk.blob": ["4a475abc36bea11b", "c0e8d1ca1f1ab4c4"],
  "everything.prioritized.blob": ["971f47b6ebbc55ff", "7bd1235eb3ae5050"],
  "everything.zstdchunked.blob": ["4a475abc36bea11b", "c0e8d1ca1f1ab4c4"],
  "small.default.blob": ["6fd247987ee5dab3", "cde65b976f4dcf20"],
};

for (const [file, [compiled, merged]] of Object.entries(VECTORS)) {
  test(`compileLayerArchive() and mergeLayerMetas() make the same bytes of ${file} as ever`, async () => {
    const blob = readFileSync(join(import.meta.dirname, "../../test/vectors", file));
    const unverified = await openArchive(new MemoryBlob(blob));
    const { meta, dataSize } = compileLayerArchive(unverified.verify(unverified.tocDigest));
    assert.equal(digestOf(meta), compiled);
    assert.equal(digestOf(mergeLayerMetas([meta, meta], [dataSize, dataSize])), merged);
  });
}

type Spec = Partial<LayerTreeEntry> & Pick<LayerTreeEntry, "path" | "type">;

function entryOf(spec: Spec, id: number): LayerTreeEntry {
  return {
    size: 0,
    mode: spec.type === "dir" ? 0o755 : 0o644,
    uid: id % 7,
    gid: id % 5,
    mtime: { seconds: id * 1_000_003 - 5_000_000, nanoseconds: id * 1009 },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...spec,
  };
}

/** Where a file lies: most are one run, some begin or end with a hole or lie in two places. */
function extentsOf(size: number, id: number): readonly ErofsExtent[] {
  const start = (id % 100) * 8 * BLOCK;
  if (size === 0) return [];
  if (size <= 4 * BLOCK) return [{ fileOffset: 0, size, device: 0, deviceOffset: start }];
  if (id % 3 === 0)
    return [{ fileOffset: 2 * BLOCK, size: size - 2 * BLOCK, device: 0, deviceOffset: start }];
  return [
    { fileOffset: 0, size: BLOCK + 10, device: 0, deviceOffset: start },
    { fileOffset: 2 * BLOCK, size: 2 * BLOCK, device: 0, deviceOffset: start + 2 * BLOCK },
    { fileOffset: 4 * BLOCK, size: size - 4 * BLOCK, device: 0, deviceOffset: start + 6 * BLOCK },
  ];
}

function attributesOf(id: number): ReadonlyMap<string, Uint8Array> {
  const xattrs = new Map<string, Uint8Array>();
  if (id % 4 === 0) xattrs.set("security.label", Uint8Array.of(7, 7, 7));
  if (id % 6 === 0) xattrs.set(`user.own-${id}`, new Uint8Array(id).fill(id));
  if (id % 8 === 0) xattrs.set("user.common", new Uint8Array(3000).fill(3));
  if (id % 10 === 0) xattrs.set("system.foreign", Uint8Array.of(1));
  if (id % 12 === 0) xattrs.set("trusted.overlay.opaque", Uint8Array.of(0x79));
  return xattrs;
}

const NAMES = [
  "-",
  "!",
  ".-",
  "..a",
  "...",
  "Z",
  "é",
  "\ue000",
  "\u{1f600}",
  "b\udcff",
  "\uffff",
  "l".repeat(255),
];

/** Files of all kinds in directories of all sizes; `layer` decides what there is and what is hidden. */
function* specsOf(layer: number): Generator<Spec> {
  yield { path: "", type: "dir", mode: 0o700 + layer };
  for (const name of NAMES) yield { path: name, type: "reg", size: 10, xattrs: attributesOf(name.length) };
  for (let at = 0; at < 400; at += 1) {
    const id = at * 3 + layer;
    const parent = `usr/${id % 5}/directory-${at % 11}`;
    if (id % 13 === 0) yield { path: parent, type: "dir", mode: 0o1777, xattrs: attributesOf(id) };
    const path = `${parent}/${"name".repeat(1 + (id % 20))}-${id % 190}`;
    const size = id % 9 === 0 ? 5 * BLOCK + id : (id % 30) * 100;
    yield { path, type: "reg", size, xattrs: attributesOf(id) };
    if (id % 7 === 0) yield { path: `links/${id}`, type: "hardlink", linkName: path };
    if (id % 8 === 0)
      yield { path: `links/s${id}`, type: "symlink", linkName: "t".repeat(1 + ((id * 37) % 4095)) };
  }
  yield { path: "dev/null", type: "char", devMajor: 1, devMinor: 3, xattrs: attributesOf(4) };
  yield { path: "dev/sda", type: "block", devMajor: 4095, devMinor: 1_048_575 };
  yield { path: "dev/pipe", type: "fifo" };
  yield { path: "links/early", type: "hardlink", linkName: "later" };
  yield { path: "later", type: "reg", size: 5 };
  yield { path: "lib", type: "symlink", linkName: "usr/1" };
  yield { path: "lib/through-a-symlink", type: "reg", size: 1 };
  for (let id = 0; id < 300; id += 1)
    yield { path: `many/${id % 2 === 0 ? "-" : "x"}${"y".repeat(id % 60)}${id}`, type: "reg" };
  if (layer === 0) return;
  for (let id = layer; id < 100; id += 9)
    yield { path: `many/.wh.-${"y".repeat(id % 60)}${id}`, type: "reg" };
  yield { path: `usr/${layer}/directory-${layer}/.wh..wh..opq`, type: "reg" };
  yield { path: `usr/4/.wh.directory-${layer}`, type: "reg" };
  yield { path: `usr/0/directory-${layer}`, type: "reg", size: 3 };
  yield { path: `replaced-${layer - 1}/file`, type: "reg" };
  yield { path: `replaced-${layer}`, type: "reg" };
}

function compiledLayer(layer: number, overlayMarks: "trusted" | "user"): Uint8Array {
  const tree = new LayerTree();
  let id = layer * 1000;
  for (const spec of specsOf(layer)) {
    const entry = entryOf(spec, (id += 1));
    tree.add(entry, entry.type === "reg" ? extentsOf(entry.size, id) : []);
  }
  return compileLayer(tree, { dataSize: DATA_SIZE, overlayMarks }).meta;
}

const MADE_UP = {
  trusted: [
    "35eb258b5a7855db",
    "e3585eb530338467",
    "fa45e712cf1a07cd",
    "b64b793e4732b5e7",
    "f6cc76c21e63a64d",
  ],
  user: ["1179b60e3db325e2", "71b38f06333b4518", "1882b3c04d4b46bf", "b64b793e4732b5e7", "f6cc76c21e63a64d"],
} as const;

for (const marks of ["trusted", "user"] as const) {
  test(`compileLayer() and mergeLayerMetas() make the same bytes of made-up layers as ever, with marks in ${marks}`, () => {
    const metas = [0, 1, 2].map((layer) => compiledLayer(layer, marks));
    const [bottom = new Uint8Array(), , top = new Uint8Array()] = metas;
    const merges = [
      mergeLayerMetas(metas, [DATA_SIZE, DATA_SIZE, DATA_SIZE]),
      mergeLayerMetas([top, bottom, top], [DATA_SIZE, DATA_SIZE, DATA_SIZE]),
    ];
    assert.deepEqual([...metas, ...merges].map(digestOf), MADE_UP[marks]);
  });
}
