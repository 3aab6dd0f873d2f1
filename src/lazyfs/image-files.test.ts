import assert from "node:assert/strict";
import { test } from "node:test";
import type { LayerEntry } from "../image/index.ts";
import { plainMetadata } from "../tar/index.ts";
import { compileLayer } from "./compile-layer.ts";
import { createSampleLayer, type FetchSample, fetchSampleOf } from "./fetch.fixture.ts";
import { temporaryStore } from "./image.fixture.ts";
import { ImageFiles } from "./image-files.ts";
import { LayerTree } from "./layer-tree.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

const NO_FILE = undefined;

/** The metadata of an image of these layers. */
function mergedOf(samples: readonly FetchSample[]): Uint8Array {
  return mergeLayerMetas(
    samples.map(({ compiled }) => compiled.meta),
    samples.map(({ compiled }) => compiled.dataSize),
  );
}

const link = (name: string, linkName: string) => ({ name, type: "symlink" as const, linkName });

/** What a path leads to. */
const TREE = await fetchSampleOf([
  { name: "bin/real", content: "12345" },
  { name: "bin/sub/" },
  link("absolute", "/bin/real"),
  link("relative", "bin/real"),
  link("bin/sub/up", "../real"),
  link("bin/out", "../../../../bin/real"),
  link("usr", "/bin/sub/.."),
  link("broken", "/nowhere"),
  link("self", "self"),
  link("dot", "."),
  { name: "other", type: "hardlink" as const, linkName: "bin/real" },
  ...Array.from({ length: 41 }, (_, at) => link(`hop${at + 1}`, at === 0 ? "/bin/real" : `hop${at}`)),
]);

test("ImageFiles.find() follows links as a process in the image would", () => {
  const files = new ImageFiles(mergedOf([TREE]), []);
  const paths = [
    ["/bin/real", "absolute", "/relative", "/bin/sub/up", "/usr/real", "/usr/sub/up", "//bin/./real"],
    ["/bin/sub/../real", "/../../bin/real", "/bin/out", "/dot/dot/bin/real", "/hop40"],
  ].flat();
  for (const path of paths) {
    const { path: found, size } = files.find(path) ?? {};
    assert.deepEqual({ found, size }, { found: "/bin/real", size: 5 }, path);
  }
});

test("ImageFiles.find() finds no file where there is none", () => {
  const files = new ImageFiles(mergedOf([TREE]), []);
  const paths = [
    "",
    "/",
    "/bin",
    "/bin/sub",
    "/bin/none",
    "/none/real",
    "/bin/real/x",
    "/broken",
    "/self",
    "/hop41",
  ];
  for (const path of paths) assert.equal(files.find(path), NO_FILE, path);
});

test("ImageFiles.find() gives up on a path that only goes on and on", async () => {
  const target = "x/../".repeat(800);
  const links = Array.from({ length: 40 }, (_, at) =>
    link(`l${at}`, `${target}${at === 39 ? "x" : `l${at + 1}`}`),
  );
  const sample = await fetchSampleOf([{ name: "x/" }, ...links]);
  assert.equal(new ImageFiles(mergedOf([sample]), []).find(`/${"dot/".repeat(100_000)}`), NO_FILE);
  assert.equal(new ImageFiles(mergedOf([sample]), []).find("/l0"), NO_FILE);
});

test("ImageFiles.find() knows names of one file by its nid", () => {
  const files = new ImageFiles(mergedOf([TREE]), []);
  const [first, second] = [files.find("/bin/real"), files.find("/other")];
  assert.equal(second?.path, "/other");
  assert.ok(first !== undefined && first.nid === second.nid);
});

test("ImageFiles.runs() says on which layer's device bytes lie", async (t) => {
  const samples = await Promise.all([
    fetchSampleOf([
      { name: "low", content: "a".repeat(5000) },
      { name: "both", content: "old" },
    ]),
    fetchSampleOf([
      { name: "both", content: "new" },
      { name: "high", content: "b".repeat(9000) },
    ]),
  ]);
  const store = await temporaryStore(t);
  const handles = await Promise.all(samples.map((sample) => createSampleLayer(store, sample)));
  try {
    const layers = handles.map(({ layer }) => layer);
    const files = new ImageFiles(mergedOf(samples), layers);
    const read = (path: string, offset: number, size: number): string => {
      const file = files.find(path);
      assert.ok(file !== undefined, path);
      let text = "";
      for (const { layer, fileOffset, range } of files.runs(file, { offset, size })) {
        assert.equal(fileOffset, offset + text.length);
        const device = samples[layers.indexOf(layer)]?.device ?? new Uint8Array(0);
        text += Buffer.from(device.subarray(range.offset, range.offset + range.size)).toString();
      }
      return text;
    };
    assert.equal(read("/low", 0, 5000), "a".repeat(5000));
    assert.equal(read("/low", 4998, 10), "aa");
    assert.equal(read("/low", 5000, 10), "");
    assert.equal(read("/both", 0, 3), "new");
    assert.equal(read("/high", 4095, 4097), "b".repeat(4097));
  } finally {
    for (const handle of handles) await handle.close();
    await store.close();
  }
});

test("ImageFiles.runs() leaves holes out, and bytes of layers that nobody has", async (t) => {
  const store = await temporaryStore(t);
  const handle = await createSampleLayer(store, TREE);
  try {
    const meta = metaWithHole();
    const find = (files: ImageFiles): readonly unknown[] => {
      const file = files.find("/sparse");
      assert.ok(file !== undefined);
      return Array.from(files.runs(file, { offset: 0, size: file.size }), ({ fileOffset, range }) => [
        fileOffset,
        range,
      ]);
    };
    assert.deepEqual(find(new ImageFiles(meta, [handle.layer])), [
      [0, { offset: 4096, size: 1 << 20 }],
      [3 << 20, { offset: 4 << 20, size: 4096 }],
    ]);
    assert.deepEqual(find(new ImageFiles(meta, [])), []);
  } finally {
    await handle.close();
    await store.close();
  }
});

/** A file of 3 MiB and a block: data, a hole of 2 MiB, data elsewhere. */
function metaWithHole(): Uint8Array {
  const size = (3 << 20) + 4096;
  const entry: LayerEntry = { ...plainMetadata({ name: "sparse", size }), path: "sparse" };
  const tree = new LayerTree();
  tree.add(entry, [
    { fileOffset: 0, size: 1 << 20, device: 0, deviceOffset: 4096 },
    { fileOffset: 3 << 20, size: 4096, device: 0, deviceOffset: 4 << 20 },
  ]);
  return compileLayer(tree, { dataSize: 8 << 20 }).meta;
}
