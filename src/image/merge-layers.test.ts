import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { MemoryBlob } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { openArchive } from "../estargz/index.ts";
import { plainMetadata } from "../tar/index.ts";
import { type FileSpec, tarOf } from "../tar/make-tar.fixture.ts";
import { tarEntries } from "./layer.fixture.ts";
import { type LayerEntry, layerTreeFromArchive, layerTreeFromTar } from "./layer-tree.ts";
import { mergeLayers } from "./merge-layers.ts";
import { findRootNode, type RootNode, type RootTree, walkRootTree } from "./root-tree.ts";

const VECTORS = new URL("../../test/vectors/", import.meta.url);

function merge(...layers: readonly (readonly FileSpec[])[]): RootTree {
  return mergeLayers(layers.map((specs) => layerTreeFromTar(tarEntries(tarOf(specs)))));
}

/** Every path with what is there: `layer:mode/` for directories, `layer:size` for files, `-> target` for symlinks. */
function shown(tree: RootTree): Record<string, string> {
  const lines = Array.from(walkRootTree(tree), ({ path, node }) => [`/${path}`, show(node)] as const);
  return Object.fromEntries(lines.filter(([path]) => path !== "/"));
}

function show({ inode }: RootNode): string {
  if (inode.type === "dir") return `${inode.implied ? "implied" : inode.layer}:${inode.mode.toString(8)}/`;
  if (inode.type === "symlink") return `-> ${inode.linkName}`;
  return `${inode.layer}:${inode.type === "reg" ? inode.size : inode.type}`;
}

const file = (name: string, content = "x"): FileSpec => ({ name, content });
const dir = (name: string, mode = 0o755): FileSpec => ({ name, type: "dir", mode });
const symlink = (name: string, linkName: string): FileSpec => ({ name, type: "symlink", linkName });
const hardlink = (name: string, linkName: string): FileSpec => ({ name, type: "hardlink", linkName });

function refuses(code: "PATH_INVALID" | "TAR_INVALID", pattern: RegExp) {
  return (error: unknown): boolean => isEsgzError(error, code) && pattern.test(error.message);
}

test("mergeLayers() makes the directories that paths imply, and gives the root its defaults", () => {
  const tree = merge([file("a/b/c")]);
  assert.deepEqual(shown(tree), { "/a": "implied:755/", "/a/b": "implied:755/", "/a/b/c": "0:1" });
  const { mode, uid, gid, nlink, implied } = tree.root.inode;
  assert.deepEqual(
    { mode, uid, gid, nlink, implied },
    { mode: 0o755, uid: 0, gid: 0, nlink: 3, implied: true },
  );
  assert.equal(tree.nodeCount, 4);
});

test("mergeLayers() takes the root's metadata from the uppermost layer that has it", () => {
  const tree = merge([dir("./", 0o700)], [dir("/", 0o711)], [file("a")]);
  assert.equal(tree.root.inode.mode, 0o711);
  assert.equal(tree.root.inode.layer, 1);
});

test("mergeLayers() keeps a lower directory's content and takes the upper's metadata", () => {
  const tree = merge([dir("d", 0o700), file("d/a")], [dir("d", 0o711), file("d/b", "yy")]);
  assert.deepEqual(shown(tree), { "/d": "1:711/", "/d/a": "0:1", "/d/b": "1:2" });
});

test("mergeLayers() replaces files by directories and directories by files", () => {
  const tree = merge([file("a"), file("d/x"), file("d/e/f")], [dir("a"), file("d", "new")]);
  assert.deepEqual(shown(tree), { "/a": "1:755/", "/d": "1:3" });
});

test("mergeLayers() hides lower files by whiteouts and shows no whiteout", () => {
  const tree = merge([file("a"), file("b"), file("d/x")], [file(".wh.a"), file(".wh.d"), file(".wh.none")]);
  assert.deepEqual(shown(tree), { "/b": "0:1" });
});

test("mergeLayers() lets whiteouts hide lower layers only, wherever in the layer they stand", () => {
  const lower = [file("d/low"), file("d/sub/low"), file("f")];
  const wanted = { "/d": "1:711/", "/d/up": "1:2", "/f": "1:2" };
  const own = [dir("d", 0o711), file("d/up", "uu"), file("f", "ff")];
  for (const whiteouts of [
    [file(".wh.d"), file(".wh.f")],
    [file("d/.wh..wh..opq"), file(".wh.f")],
  ]) {
    assert.deepEqual(shown(merge(lower, [...whiteouts, ...own])), wanted);
    assert.deepEqual(shown(merge(lower, [...own, ...whiteouts])), wanted);
  }
});

test("mergeLayers() keeps a file that is linked to itself through a symlink", () => {
  const tree = merge([
    dir("real"),
    file("real/a", "yyy"),
    symlink("alias", "real"),
    hardlink("real/a", "alias/a"),
  ]);
  assert.equal(tree.root.children?.get("real")?.children?.get("a")?.inode.size, 3);
});

test("mergeLayers() forgets the metadata of a hidden directory that the layer itself implies", () => {
  const tree = merge([dir("d", 0o700), file("d/low")], [file("d/up"), file(".wh.d")]);
  assert.deepEqual(shown(tree), { "/d": "implied:755/", "/d/up": "1:1" });
  const opaque = merge(
    [dir("d", 0o700), dir("d/s", 0o700), file("d/s/low")],
    [file("d/s/up"), file("d/.wh..wh..opq")],
  );
  assert.deepEqual(shown(opaque), { "/d": "0:700/", "/d/s": "implied:755/", "/d/s/up": "1:1" });
});

test("mergeLayers() empties the root by an opaque whiteout in it", () => {
  assert.deepEqual(shown(merge([file("a"), file("d/b")], [file("c"), file(".wh..wh..opq")])), {
    "/c": "1:1",
  });
});

test("mergeLayers() ignores aufs metadata and what lies below a whiteout's name", () => {
  const tree = merge([file("plnk")], [file(".wh..wh.plnk"), file(".wh..wh.orph/x"), file("d/.wh.a/b")]);
  assert.deepEqual(shown(tree), { "/plnk": "0:1" });
});

test("mergeLayers() refuses whiteouts of nothing", () => {
  for (const name of ["d/.wh.", "d/.wh..", ".wh..."]) {
    assert.throws(() => merge([file(name)]), refuses("PATH_INVALID", /expected file names/));
  }
});

test("mergeLayers() follows lower symlinks on the way to an entry", async (t) => {
  const lower = [dir("usr/lib"), symlink("lib", "usr/lib"), file("usr/lib/a")];
  await t.test("relative", () => {
    const tree = merge(lower, [file("lib/b", "bb"), file("lib/.wh.a")]);
    assert.deepEqual(shown(tree), {
      "/usr": "implied:755/",
      "/usr/lib": "0:755/",
      "/usr/lib/b": "1:2",
      "/lib": "-> usr/lib",
    });
  });
  await t.test("absolute, dangling, and climbing above the root", () => {
    const tree = merge(
      [symlink("abs", "/x/y"), symlink("up", "../../../../z"), symlink("deep/er/rel", "../q/./r")],
      [file("abs/1"), file("up/2"), file("deep/er/rel/3")],
    );
    assert.equal(findRootNode(tree, "x/y/1")?.inode.layer, 1);
    assert.equal(findRootNode(tree, "z/2")?.inode.layer, 1);
    assert.equal(findRootNode(tree, "deep/q/r/3")?.inode.layer, 1);
  });
  await t.test("not the last component: an entry replaces a symlink", () => {
    const tree = merge(lower, [dir("lib", 0o700), file("lib/b")]);
    assert.equal(findRootNode(tree, "lib/b")?.inode.layer, 1);
    assert.equal(findRootNode(tree, "usr/lib/b"), undefined);
  });
});

test("mergeLayers() refuses circles of symlinks on the way", () => {
  assert.throws(
    () => merge([symlink("a", "b"), symlink("b", "a")], [file("a/x")]),
    refuses("PATH_INVALID", /at most 255 symlinks/),
  );
});

test("mergeLayers() replaces a file on the way by a directory, in lower layers and in the same one", () => {
  assert.deepEqual(shown(merge([file("f")], [file("f/x")])), { "/f": "implied:755/", "/f/x": "1:1" });
  assert.deepEqual(shown(merge([file("f"), file("f/x")])), { "/f": "implied:755/", "/f/x": "0:1" });
});

test("mergeLayers() applies conflicting entries of one layer in order", () => {
  const through = merge([symlink("l", "t"), file("l/x")]);
  assert.deepEqual(shown(through), { "/l": "-> t", "/t": "implied:755/", "/t/x": "0:1" });
  const after = merge([file("l/x"), symlink("l", "t")]);
  assert.deepEqual(shown(after), { "/l": "-> t" });
  assert.deepEqual(shown(merge([file("a"), file("a", "second")])), { "/a": "0:6" });
});

test("mergeLayers() gives hard links one inode, before or behind their target", () => {
  const tree = merge([
    hardlink("x/early", "t"),
    file("t", "abc"),
    hardlink("late", "./t"),
    hardlink("again", "late"),
  ]);
  const inode = findRootNode(tree, "t")?.inode;
  assert.ok(inode !== undefined);
  for (const path of ["x/early", "late", "again"]) assert.equal(findRootNode(tree, path)?.inode, inode);
  assert.equal(inode.nlink, 4);
  assert.equal(inode.size, 3);
});

test("mergeLayers() links across layers, also to what the layer hides", () => {
  const lower = [file("a", "abc"), file("b", "b")];
  const linked = merge(lower, [hardlink("c", "a")]);
  assert.equal(findRootNode(linked, "c")?.inode, findRootNode(linked, "a")?.inode);
  assert.equal(findRootNode(linked, "c")?.inode.nlink, 2);
  assert.deepEqual(shown(merge(lower, [hardlink("c", "a"), file(".wh.a")])), { "/b": "0:1", "/c": "0:3" });
  assert.deepEqual(shown(merge(lower, [hardlink("c", "a"), file("a", "new one")])), {
    "/b": "0:1",
    "/c": "1:7",
    "/a": "1:7",
  });
});

test("mergeLayers() keeps an inode whose first name an upper layer replaces", () => {
  const tree = merge([file("a", "abc"), hardlink("b", "a")], [file("a", "z")]);
  assert.deepEqual(shown(tree), { "/a": "1:1", "/b": "0:3" });
  assert.equal(findRootNode(tree, "b")?.inode.nlink, 1);
});

test("mergeLayers() refuses hard links to nothing, to directories, to themselves and in circles", () => {
  assert.throws(() => merge([hardlink("a", "none")]), refuses("TAR_INVALID", /got nothing/));
  assert.throws(() => merge([file("d/x"), hardlink("a", "d")]), refuses("TAR_INVALID", /got a directory/));
  assert.throws(() => merge([file("d/x")], [hardlink("a", "d")]), refuses("TAR_INVALID", /got a directory/));
  assert.throws(() => merge([hardlink("a", "")]), refuses("TAR_INVALID", /got a directory/));
  assert.throws(() => merge([hardlink("a", "a")]), refuses("TAR_INVALID", /got itself/));
  const circle = [hardlink("a", "b"), hardlink("b", "c"), hardlink("c", "a")];
  assert.throws(() => merge(circle), refuses("TAR_INVALID", /circle/));
});

test("mergeLayers() resolves a chain of 50,000 links that all come before their target", () => {
  const chain = Array.from({ length: 50_000 }, (_, i) =>
    entryOf(`l${i}`, { type: "hardlink", linkName: `l${i + 1}` }),
  );
  const tree = mergeLayers([{ entries: [...chain, entryOf("l50000", { size: 1 })] }]);
  assert.equal(findRootNode(tree, "l0")?.inode.nlink, 50_001);
});

test("mergeLayers() keeps names that are not UTF-8 and device numbers", () => {
  const tree = merge([{ name: "caf\udce9", type: "char", devMajor: 1, devMinor: 3 }]);
  const inode = findRootNode(tree, "caf\udce9")?.inode;
  assert.deepEqual([inode?.type, inode?.devMajor, inode?.devMinor], ["char", 1, 3]);
});

test("mergeLayers() refuses paths that were never cleaned", () => {
  for (const path of ["../x", "a/../b", "a//b", "/a", "a/./b", "a/", "a\0b", ".."]) {
    assert.throws(
      () => mergeLayers([{ entries: [entryOf(path)] }]),
      refuses("PATH_INVALID", /file names/),
      path,
    );
  }
});

test("mergeLayers() makes the same of a table of contents as of its tar", async () => {
  const blob = new MemoryBlob(readFileSync(new URL("everything.default.blob", VECTORS)));
  const found = await openArchive(blob);
  const fromToc = mergeLayers([layerTreeFromArchive(found.verify(found.tocDigest))]);
  const fromTar = mergeLayers([
    layerTreeFromTar(tarEntries(readFileSync(new URL("everything.tar", VECTORS)))),
  ]);
  assert.deepEqual(shown(fromToc), shown(fromTar));
  assert.equal(fromToc.nodeCount, fromTar.nodeCount);
});

test("mergeLayers() merges 100,000 entries without quadratic work", () => {
  const entries: LayerEntry[] = [];
  for (let d = 0; d < 1000; d += 1) {
    entries.push(entryOf(`usr/share/d${d}`, { type: "dir" }), entryOf(`usr/share/d${d}/.wh..wh..opq`));
    for (let f = 0; f < 98; f += 1) entries.push(entryOf(`usr/share/d${d}/f${f}`, { size: 1 }));
  }
  const tree = mergeLayers([{ entries }, { entries: [...entries, entryOf("usr/.wh..wh..opq")] }]);
  assert.equal(tree.nodeCount, 3 + 1000 + 98_000);
});

const NAMES = ["a", "b", "c", ".wh.a", ".wh.b", ".wh..wh..opq", "..", "."];
const pathArbitrary = fc
  .array(fc.constantFrom(...NAMES), { minLength: 1, maxLength: 4 })
  .map((parts) => parts.join("/"));
const targetArbitrary = fc
  .tuple(fc.constantFrom("", "/", "../../../"), pathArbitrary)
  .map(([prefix, path]) => prefix + path);
const entryArbitrary = fc.oneof(
  pathArbitrary.map((name) => file(name)),
  pathArbitrary.map((name) => dir(name)),
  fc.tuple(pathArbitrary, targetArbitrary).map(([name, target]) => symlink(name, target)),
  fc.tuple(pathArbitrary, targetArbitrary).map(([name, target]) => hardlink(name, target)),
);

test("mergeLayers() gives a sound tree or a typed error for any layers", () => {
  let merged = 0;
  fc.assert(
    fc.property(fc.array(fc.array(entryArbitrary, { maxLength: 12 }), { maxLength: 4 }), (layers) => {
      try {
        assertSound(merge(...layers));
        merged += 1;
      } catch (error) {
        if (!isEsgzError(error, "PATH_INVALID") && !isEsgzError(error, "TAR_INVALID")) throw error;
      }
    }),
    { numRuns: 3000 },
  );
  assert.ok(merged > 300, `${merged} of 3000 trees were merged`);
});

/** Names are names, whiteouts are gone, every node is counted, and links agree with their inodes. */
function assertSound(tree: RootTree): void {
  const names = new Map<object, number>();
  let count = 0;
  for (const { path, node } of walkRootTree(tree)) {
    count += 1;
    names.set(node.inode, (names.get(node.inode) ?? 0) + 1);
    assert.equal(node.children !== undefined, node.inode.type === "dir");
    if (path === "") continue;
    assert.ok(!["", ".", ".."].includes(node.name) && !node.name.includes("/"));
    assert.ok(!path.split("/").some((name) => name.startsWith(".wh.")), path);
    assert.equal(findRootNode(tree, path), node);
  }
  assert.equal(count, tree.nodeCount);
  for (const { node } of walkRootTree(tree)) {
    if (node.children === undefined) assert.equal(node.inode.nlink, names.get(node.inode));
    else assert.equal(names.get(node.inode), 1);
  }
}

function entryOf(path: string, changes: Partial<LayerEntry> = {}): LayerEntry {
  return { ...plainMetadata({ name: path }), path, ...changes };
}
