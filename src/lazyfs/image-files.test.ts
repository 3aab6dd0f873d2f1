import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import type { LayerEntry } from "../image/index.ts";
import type { Layer } from "../store/index.ts";
import { plainMetadata } from "../tar/index.ts";
import { tarOf } from "../tar/make-tar.fixture.ts";
import { compileLayer } from "./compile-layer.ts";
import { createSampleLayer, type FetchSample, fetchSampleOf } from "./fetch.fixture.ts";
import { estargzOf, PLATFORM, serveImage, temporaryStore } from "./image.fixture.ts";
import { ImageFiles } from "./image-files.ts";
import { LayerTree } from "./layer-tree.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";
import { prepareImage } from "./prepare-image.ts";

const NO_FILE = undefined;

/** The files of an image of these layers, in its merged metadata. */
function filesOf(samples: readonly FetchSample[], layers: readonly Layer[] = []): ImageFiles {
  const meta = mergeLayerMetas(
    samples.map(({ compiled }) => compiled.meta),
    samples.map(({ compiled }) => compiled.dataSize),
  );
  return new ImageFiles([{ meta, layers }]);
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
  const files = filesOf([TREE]);
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
  const files = filesOf([TREE]);
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
  assert.equal(filesOf([sample]).find(`/${"dot/".repeat(100_000)}`), NO_FILE);
  assert.equal(filesOf([sample]).find("/l0"), NO_FILE);
});

test("ImageFiles.find() knows names of one file by its nid", () => {
  const files = filesOf([TREE]);
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
    const files = filesOf(samples, layers);
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
    assert.deepEqual(find(new ImageFiles([{ meta, layers: [handle.layer] }])), [
      [0, { offset: 4096, size: 1 << 20 }],
      [3 << 20, { offset: 4 << 20, size: 4096 }],
    ]);
    assert.deepEqual(find(new ImageFiles([{ meta, layers: [] }])), []);
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

const LAYERS = [
  tarOf([
    { name: "usr/bin/tool", content: "lowest tool" },
    { name: "usr/lib/one.so", content: "one" },
    { name: "etc/conf", content: "conf" },
    { name: "etc/gone", content: "gone" },
    { name: "opt/app/old", content: "old" },
    { name: "bin", type: "symlink", linkName: "usr/bin" },
    { name: "srv", content: "a file below" },
    { name: "var/run", type: "symlink", linkName: "/etc" },
  ]),
  tarOf([
    { name: "usr/bin/tool", content: "upper tool" },
    { name: "usr/bin/link", type: "symlink", linkName: "../lib/one.so" },
    { name: "etc/.wh.gone" },
    { name: "opt/app/.wh..wh..opq" },
    { name: "opt/app/new", content: "new" },
    { name: "srv/inside", content: "a directory above" },
    { name: "loop", type: "symlink", linkName: "loop" },
  ]),
  tarOf([
    { name: "usr/.wh.lib" },
    { name: "usr/sbin/one", type: "symlink", linkName: "/bin/../bin/tool" },
    { name: "out", type: "symlink", linkName: "../../../../etc/conf" },
  ]),
];

/** What a finder says of a path: where its bytes lie. */
function describe(files: ImageFiles, path: string): string | undefined {
  const file = files.find(path);
  if (file === undefined) return undefined;
  const runs = Array.from(
    files.runs(file, { offset: 0, size: file.size }),
    ({ layer, fileOffset, range }) => `${fileOffset} ${layer.digest} ${range.offset}+${range.size}`,
  );
  return [file.path, file.size, ...runs].join(" ");
}

test("ImageFiles finds layer by layer what the merged image has", async (t) => {
  const blobs = await Promise.all(LAYERS.map((tar) => estargzOf(tar)));
  const served = await serveImage(t, blobs);
  const store = await temporaryStore(t);
  const options = { store, platform: PLATFORM, name: served.name, whole: "never" } as const;
  await using image = await prepareImage(served.source, options);
  const layers = image.layers.map(({ handle }) => handle.layer);
  const meta = await readFile(image.mergedMeta.path);
  const merged = new ImageFiles([{ meta, layers }]);
  const metas = layers.map(async (layer) => ({ meta: await readFile(layer.metaPath), layers: [layer] }));
  const layered = new ImageFiles(await Promise.all(metas));
  const paths = Array.from(walkErofs(new ErofsReader(meta)), ({ path }) => `/${path}`);
  const hidden = [
    "/etc/gone",
    "/opt/app/old",
    "/usr/lib/one.so",
    "/usr/bin/link",
    "/loop",
    "/srv",
    "/none/at/all",
  ];
  for (const path of [...paths, ...hidden, "/bin/tool", "/var/run/conf", "bin//./tool", "/bin/tool/"]) {
    assert.equal(describe(layered, path), describe(merged, path), path);
  }
  const found = paths.filter((path) => layered.find(path) !== undefined);
  assert.deepEqual(found.toSorted(), [
    "/etc/conf",
    "/opt/app/new",
    "/out",
    "/srv/inside",
    "/usr/bin/tool",
    "/usr/sbin/one",
  ]);
  assert.equal(layered.find("/usr/sbin/one")?.path, "/usr/bin/tool");
  assert.match(describe(layered, "/bin/tool") ?? "", new RegExp(`10 0 ${layers[1]?.digest} `));
  for (const path of hidden) assert.equal(layered.find(path), undefined, path);
});
