import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ErofsReader, walkErofs } from "../erofs/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type LayerEntry, mergeLayers, type RootInode, type RootTree, walkRootTree } from "../image/index.ts";
import { compileLayer } from "./compile-layer.ts";
import { LayerStack } from "./layer-stack.ts";
import { LayerTree } from "./layer-tree.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

const BLOCK = 4096;
const DATA_SIZE = 1024 * BLOCK;

/** An entry by what is special about it; regular files get a content of their own. */
type Spec = Pick<LayerEntry, "path" | "type"> & Partial<LayerEntry>;

function entryFrom(spec: Spec, id: number): LayerEntry {
  const entry: LayerEntry = {
    size: 0,
    mode: spec.type === "dir" ? 0o700 : 0o600,
    uid: id,
    gid: 7,
    userName: "",
    groupName: "",
    mtime: { seconds: 1000 + id, nanoseconds: id },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...spec,
  };
  if (entry.type !== "reg") return entry;
  return { ...entry, size: 10 + id, content: { kind: "tar", tarOffset: id * BLOCK, storedSize: 10 + id } };
}

function layersFrom(specs: readonly (readonly Spec[])[]): LayerEntry[][] {
  let id = 0;
  return specs.map((layer) => layer.map((spec) => entryFrom(spec, (id += 1))));
}

/** The metadata image of entries; a file's place is its number. */
function metaOf(entries: readonly LayerEntry[], overlayMarks: "trusted" | "user"): Uint8Array {
  const tree = new LayerTree();
  for (const entry of entries) {
    const { content, size } = entry;
    const deviceOffset = content?.kind === "tar" ? content.tarOffset : 0;
    tree.add(entry, content === undefined ? [] : [{ fileOffset: 0, size, device: 0, deviceOffset }]);
  }
  return compileLayer(tree, { dataSize: DATA_SIZE, overlayMarks, linksBelow: true }).meta;
}

/** One line for each path: everything that can be seen of it. */
type Description = Record<string, string>;

function describeImage(image: Uint8Array): Description {
  const reader = new ErofsReader(image);
  const described: Description = {};
  for (const { path, nid } of walkErofs(reader)) {
    const { type, mode, uid, gid, mtime, nlink, size, major, minor } = reader.getInode(nid);
    const content = Array.from(reader.runs(type === "reg" ? nid : reader.rootNid))
      .map((run) => (run.kind === "device" ? `${run.device}:${run.deviceOffset}+${run.size}` : ""))
      .join();
    const target = type === "symlink" ? reader.readlink(nid) : "";
    const shown = [type, mode, uid, gid, mtime.seconds, mtime.nanoseconds, nlink, target, major, minor];
    const xattrs = [...reader.xattrs(nid).keys()].sort();
    described[path] = [...shown, type === "reg" ? size : "", content, xattrs].join(" ");
  }
  return described;
}

function describeTree(tree: RootTree): Description {
  const described: Description = {};
  for (const { path, node } of walkRootTree(tree)) described[path] = describeInode(node.inode);
  return described;
}

function describeInode(inode: RootInode): string {
  const { type, uid, gid, mtime, nlink, size, linkName, devMajor, devMinor, content, layer } = inode;
  const mode = type === "symlink" ? 0o777 : inode.mode;
  const target = type === "symlink" ? linkName : "";
  const shown = [type, mode, uid, gid, mtime.seconds, mtime.nanoseconds, nlink, target, devMajor, devMinor];
  const place = content?.kind === "tar" ? `${layer}:${content.tarOffset}+${size}` : "";
  return [...shown, type === "reg" ? size : "", place, [...inode.xattrs.keys()].sort()].join(" ");
}

function mergedOf(
  layers: readonly LayerEntry[][],
  overlayMarks: "trusted" | "user" = "trusted",
): Description {
  const metas = layers.map((entries) => metaOf(entries, overlayMarks));
  return describeImage(
    mergeLayerMetas(
      metas,
      metas.map(() => DATA_SIZE),
    ),
  );
}

const name = fc.constantFrom("a", "b", "c");
const directory = fc.array(name, { maxLength: 2 }).map((names) => names.join("/"));
const inside = (parent: string, child: string): string => (parent === "" ? child : `${parent}/${child}`);
const xattrs = fc.constantFrom(new Map(), new Map([["user.note", Uint8Array.of(1)]]));

/** Entries whose parents are never symlinks: what is behind those, no layer alone can know. */
const spec: fc.Arbitrary<Spec> = fc.oneof(
  fc.record({ parent: directory, child: name, xattrs }).map(({ parent, child, xattrs: values }): Spec => ({
    path: inside(parent, child),
    type: "reg",
    xattrs: values,
  })),
  fc.record({ parent: directory, child: name, xattrs }).map(({ parent, child, xattrs: values }): Spec => ({
    path: inside(parent, child),
    type: "dir",
    xattrs: values,
  })),
  fc.record({ parent: directory, target: directory }).map(({ parent, target }): Spec => ({
    path: inside(parent, "s"),
    type: "symlink",
    linkName: `/${target}`,
  })),
  fc
    .record({ parent: directory, child: name, from: directory, to: name })
    .map(({ parent, child, from, to }): Spec => ({
      path: inside(parent, child),
      type: "hardlink",
      linkName: inside(from, to),
    })),
  fc.record({ parent: directory, child: name }).map(({ parent, child }): Spec => ({
    path: inside(parent, child),
    type: "char",
    devMajor: 1,
    devMinor: 3,
  })),
  fc
    .record({ parent: directory, child: fc.constantFrom("a", "b", "c", "s") })
    .map(({ parent, child }): Spec => ({
      path: inside(parent, `.wh.${child}`),
      type: "reg",
    })),
  directory.map((parent): Spec => ({ path: inside(parent, ".wh..wh..opq"), type: "reg" })),
  directory.map((parent): Spec => ({ path: inside(parent, ".wh..wh.plnk"), type: "dir" })),
  fc.constant<Spec>({ path: "", type: "dir" }),
);

const image = fc.array(fc.array(spec, { maxLength: 8 }), { minLength: 1, maxLength: 5 });

/** What `work` gives, or the code of what it throws. */
function outcomeOf<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    if (isEsgzError(error)) return error.code;
    throw error;
  }
}

for (const marks of ["trusted", "user"] as const) {
  test(`mergeLayerMetas() shows what merging the entries shows, with marks in ${marks}`, () => {
    fc.assert(
      fc.property(image, (specs) => {
        const layers = layersFrom(specs);
        const tree = outcomeOf(() => mergeLayers(layers.map((entries) => ({ entries }))));
        // A hard link to nothing.
        fc.pre(typeof tree !== "string");
        assert.deepEqual(mergedOf(layers, marks), describeTree(tree));
      }),
      { numRuns: 2000, endOnFailure: true },
    );
  });
}

test("mergeLayerMetas() keeps what a lower layer says of a directory that the upper one only passes", () => {
  const layers = layersFrom([
    [{ path: "tmp", type: "dir", mode: 0o1777, uid: 5 }],
    [{ path: "tmp/new", type: "reg" }],
  ]);
  const [, type, mode, uid] = /^(\w+) (\d+) (\d+) /.exec(mergedOf(layers)["tmp"] ?? "") ?? [];
  assert.deepEqual([type, mode, uid], ["dir", String(0o1777), "5"]);
});

test("mergeLayerMetas() does not follow a lower layer's symlink on the way to an upper file", () => {
  const layers = layersFrom([
    [
      { path: "usr/lib", type: "dir" },
      { path: "lib", type: "symlink", linkName: "usr/lib" },
    ],
    [{ path: "lib/new", type: "reg" }],
  ]);
  assert.deepEqual(Object.keys(mergedOf(layers)).sort(), ["", "lib", "lib/new", "usr", "usr/lib"]);
});

test("mergeLayerMetas() makes a hard link to a file of a lower layer a name of that file", () => {
  const layers = layersFrom([
    [
      { path: "usr/bin/a", type: "reg", xattrs: new Map([["user.note", Uint8Array.of(1)]]) },
      { path: "usr/bin/gone", type: "symlink", linkName: "a" },
      { path: "bin", type: "symlink", linkName: "usr/bin" },
    ],
    [
      // Behind a symlink of its own layer, of a lower one, in a chain; to a symlink; to what the layer itself hides.
      { path: "s", type: "symlink", linkName: "/usr" },
      { path: "b", type: "hardlink", linkName: "s/bin/a" },
      { path: "c", type: "hardlink", linkName: "bin/a" },
      { path: "d", type: "hardlink", linkName: "c" },
      { path: "e", type: "hardlink", linkName: "usr/bin/gone" },
      { path: "usr/bin/.wh.gone", type: "reg" },
    ],
    [{ path: "f", type: "hardlink", linkName: "d" }],
  ]);
  const described = mergedOf(layers);
  const file = "reg 384 1 7 1001 1 5  0 0 11 0:4096+11 user.note";
  assert.equal(described["usr/bin/a"], file);
  for (const path of ["b", "c", "d", "f"]) assert.equal(described[path], file, path);
  assert.equal(described["e"], "symlink 511 2 7 1002 2 1 a 0 0   ");
  assert.equal(described["usr/bin/gone"], undefined);
});

test("mergeLayerMetas() refuses hard links to what no layer below has, and to directories", () => {
  const link = (linkName: string): Spec => ({ path: "l", type: "hardlink", linkName });
  for (const [linkName, found] of [
    ["none", /got nothing/],
    ["gone", /got nothing/],
    ["d/none/x", /got nothing/],
    ["d", /got a directory/],
  ] as const) {
    const layers = layersFrom([
      [
        { path: "d/x", type: "reg" },
        { path: "gone", type: "reg" },
      ],
      [{ path: ".wh.gone", type: "reg" }],
      [link(linkName)],
    ]);
    assert.throws(() => mergedOf(layers), { code: "TAR_INVALID", message: found }, linkName);
  }
});

test("LayerStack looks up as many names for hard links into layers below as it may, and no more", () => {
  const metas = layersFrom([
    [
      { path: "a/b/c/1", type: "reg" },
      { path: "a/b/c/2", type: "reg" },
      { path: "a/d/3", type: "reg" },
    ],
  ]).map((entries) => metaOf(entries, "trusted"));
  const stack = new LayerStack(metas, { maxLookups: 6 });
  // Four names, and one more in the directory that was found last.
  for (const path of ["a/b/c/1", "a/b/c/2"]) assert.equal(stack.findLinked(1, path).type, "reg");
  assert.throws(() => stack.findLinked(1, "a/d/3"), { code: "LIMIT_EXCEEDED" });
});

test("mergeLayerMetas() refuses images that are none, and sizes that are too many", () => {
  assert.throws(() => mergeLayerMetas([new Uint8Array(8192)], [0]), { code: "EROFS_INVALID" });
  assert.throws(() => mergeLayerMetas([], [0]), { code: "EROFS_INVALID" });
});

test("mergeLayerMetas() makes an empty root of no layers", () => {
  assert.deepEqual(Object.keys(describeImage(mergeLayerMetas([], []))), [""]);
});

test("mergeLayerMetas() survives damage: a value or EROFS_INVALID, NOT_SUPPORTED, LIMIT_EXCEEDED", () => {
  const [layer = []] = layersFrom([
    [
      { path: "a", type: "dir", xattrs: new Map([["user.note", Uint8Array.of(1)]]) },
      { path: "a/b", type: "reg" },
      { path: "a/c", type: "hardlink", linkName: "a/b" },
      { path: "a/s", type: "symlink", linkName: "b" },
    ],
  ]);
  const sound = metaOf(layer, "trusted");
  fc.assert(
    fc.property(
      fc.array(fc.record({ at: fc.nat(sound.length - 1), value: fc.nat(255) }), {
        minLength: 1,
        maxLength: 4,
      }),
      (changes) => {
        const damaged = sound.slice();
        for (const { at, value } of changes) damaged[at] = value;
        const outcome = outcomeOf(() => mergeLayerMetas([damaged, sound], [DATA_SIZE, DATA_SIZE]));
        if (typeof outcome === "string") {
          assert.ok(["EROFS_INVALID", "NOT_SUPPORTED", "LIMIT_EXCEEDED"].includes(outcome), outcome);
        }
      },
    ),
    { numRuns: 500, endOnFailure: true },
  );
});
