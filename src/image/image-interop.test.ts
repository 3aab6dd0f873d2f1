import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { wholeRange } from "../blob/index.ts";
import { type FileSpec, tarOf } from "../tar/make-tar.fixture.ts";
import { type Image, openImage } from "./image.ts";
import { collect, makeImage, sha256, tarEntries, temporaryDirectory, writeImage } from "./layer.fixture.ts";
import { layerTreeFromTar } from "./layer-tree.ts";
import { mergeLayers } from "./merge-layers.ts";
import { openImageDestination, openImageSource } from "./open-image-source.ts";
import { type RootTree, walkRootTree } from "./root-tree.ts";
import { streamLayerTar } from "./stream-layer-tar.ts";

const run = promisify(execFile);
const PLATFORM = { os: "linux", architecture: "amd64" };
const VECTORS = new URL("../../test/vectors/", import.meta.url);

/** Skips the test, aloud, if a tool is missing. */
function lacks(t: TestContext, ...tools: readonly string[]): boolean {
  const missing = tools.filter((tool) => spawnSync(tool, ["--version"]).error !== undefined);
  if (missing.length > 0) t.skip(`not installed: ${missing.join(", ")}`);
  return missing.length > 0;
}

async function skopeoCopy(from: string, to: string, ...flags: readonly string[]): Promise<void> {
  await run("skopeo", ["--insecure-policy", "copy", "--quiet", ...flags, from, to]);
}

/** Opens an image, reads and checks all its layers, and gives what identifies them. */
async function identify(name: string): Promise<{ manifest: string; config: string; diffIds: string[] }> {
  await using source = await openImageSource(name, {});
  const image = await openImage(source, { platform: PLATFORM });
  const diffIds: string[] = [];
  for (const layer of image.layers) diffIds.push(sha256(await collect(streamLayerTar(layer))));
  return { manifest: image.descriptor.digest, config: image.manifest.config.digest, diffIds };
}

/** Copies an image as every caller does: blobs and manifest by descriptor. */
async function copy(from: string, to: string): Promise<void> {
  await using source = await openImageSource(from, {});
  await using destination = await openImageDestination(to, {});
  const { bytes, descriptor } = await source.fetchRoot();
  const image = await openImage(source, { platform: PLATFORM });
  for (const expected of [...image.manifest.layers, image.manifest.config]) {
    const blob = source.openBlob(expected);
    if (await destination.hasBlob(expected)) continue;
    await destination.writeBlob(blob.stream(wholeRange(blob)), { expected });
  }
  await destination.publish(await destination.writeManifest({ bytes, mediaType: descriptor.mediaType }));
}

/** A layout with a tagged image of three layers, made by umoci alone. */
async function umociLayout(t: TestContext): Promise<string> {
  const directory = await temporaryDirectory(t);
  const layout = join(directory, "layout");
  const content = join(directory, "content");
  mkdirSync(join(content, "sub"), { recursive: true });
  writeFileSync(join(content, "file"), "some content\n".repeat(10_000));
  writeFileSync(join(content, "sub", "other"), "x");
  symlinkSync("../file", join(content, "sub", "link"));
  await run("umoci", ["init", "--layout", layout]);
  await run("umoci", ["new", "--image", `${layout}:made`]);
  await run("umoci", ["insert", "--rootless", "--image", `${layout}:made`, content, "/data"]);
  await run("umoci", [
    "insert",
    "--rootless",
    "--image",
    `${layout}:made`,
    join(content, "file"),
    "/data/sub/new",
  ]);
  await run("umoci", ["insert", "--rootless", "--whiteout", "--image", `${layout}:made`, "/data/sub/other"]);
  await run("umoci", ["config", "--image", `${layout}:made`, "--architecture", "amd64", "--os", "linux"]);
  return layout;
}

async function mergedTree(image: Image): Promise<RootTree> {
  const trees = [];
  for (const layer of image.layers) {
    trees.push(layerTreeFromTar(tarEntries(await collect(streamLayerTar(layer)))));
  }
  return mergeLayers(trees);
}

test("an OCI layout that umoci made is read, and merged to what it means", async (t) => {
  if (lacks(t, "umoci")) return;
  const layout = await umociLayout(t);
  await using source = await openImageSource(`oci:${layout}:made`, {});
  const tree = await mergedTree(await openImage(source, { platform: PLATFORM }));
  const paths = Array.from(walkRootTree(tree), ({ path }) => path).toSorted();
  assert.deepEqual(paths, ["", "data", "data/file", "data/sub", "data/sub/link", "data/sub/new"]);
});

test("skopeo and esgz read each other's dir: and oci: with equal digests", async (t) => {
  if (lacks(t, "umoci", "skopeo")) return;
  const layout = await umociLayout(t);
  const there = await temporaryDirectory(t);
  const wanted = await identify(`oci:${layout}:made`);
  await skopeoCopy(`oci:${layout}:made`, `dir:${there}/by-skopeo`);
  assert.deepEqual(await identify(`dir:${there}/by-skopeo`), wanted);
  await copy(`dir:${there}/by-skopeo`, `dir:${there}/by-esgz`);
  await skopeoCopy(`dir:${there}/by-esgz`, `oci:${there}/back:made`);
  assert.deepEqual(await identify(`oci:${there}/back:made`), wanted);
  await copy(`oci:${there}/back:made`, `oci:${layout}:again`);
  await skopeoCopy(`oci:${layout}:again`, `dir:${there}/again`);
  assert.deepEqual(await identify(`dir:${there}/again`), wanted);
  const { stdout } = await run("umoci", ["list", "--layout", layout]);
  assert.deepEqual(stdout.trim().split("\n").toSorted(), ["again", "made"]);
  const files = (name: string): string[] => readdirSync(join(there, name)).toSorted();
  assert.deepEqual(files("by-esgz"), files("by-skopeo"));
  assert.equal(
    readFileSync(join(there, "by-esgz", "version"), "utf8"),
    readFileSync(join(there, "by-skopeo", "version"), "utf8"),
  );
});

test("skopeo and esgz read each other's docker archives with equal layers", async (t) => {
  if (lacks(t, "umoci", "skopeo")) return;
  const layout = await umociLayout(t);
  const there = await temporaryDirectory(t);
  const { diffIds } = await identify(`oci:${layout}:made`);
  await skopeoCopy(`oci:${layout}:made`, `docker-archive:${there}/skopeo.tar:example.com/app:v1`);
  for (const name of ["", ":example.com/app:v1", ":@0"]) {
    assert.deepEqual((await identify(`docker-archive:${there}/skopeo.tar${name}`)).diffIds, diffIds);
  }
  await assert.rejects(identify(`docker-archive:${there}/skopeo.tar:app:v2`), /example\.com\/app:v1/);
  await copy(`oci:${layout}:made`, `docker-archive:${there}/esgz.tar:app:v1`);
  await skopeoCopy(`docker-archive:${there}/esgz.tar:docker.io/library/app:v1`, `oci:${there}/back:made`);
  assert.deepEqual((await identify(`oci:${there}/back:made`)).diffIds, diffIds);
  await copy(`docker-archive:${there}/skopeo.tar`, `docker-archive:${there}/second.tar`);
  await skopeoCopy(`docker-archive:${there}/second.tar`, `dir:${there}/second`);
  assert.deepEqual((await identify(`dir:${there}/second`)).diffIds, diffIds);
});

test("skopeo reads a seekable layer out of a layout that esgz wrote", async (t) => {
  if (lacks(t, "skopeo")) return;
  const there = await temporaryDirectory(t);
  const image = makeImage([readFileSync(new URL("everything.tar", VECTORS))]);
  {
    await using destination = await openImageDestination(`oci:${there}/layout:v1`, {});
    await writeImage(destination, image);
    await destination.publish(image.manifest);
  }
  await skopeoCopy(`oci:${there}/layout:v1`, `docker-archive:${there}/a.tar:everything:v1`);
  const { diffIds } = await identify(`docker-archive:${there}/a.tar`);
  assert.deepEqual(diffIds, [sha256(readFileSync(new URL("everything.tar", VECTORS)))]);
});

test("docker archives as docker save writes them are read", async (t) => {
  const directory = await temporaryDirectory(t);
  const tar = tarOf([{ name: "a", content: "1" }]);
  const empty = tarOf([]);
  const config = Buffer.from(
    JSON.stringify({
      architecture: "amd64",
      os: "linux",
      rootfs: { type: "layers", diff_ids: [sha256(tar), sha256(empty), sha256(tar), sha256(tar)] },
    }),
  );
  const hex = sha256(config).slice("sha256:".length);
  const members = (layers: readonly string[]): string =>
    JSON.stringify([{ Config: `${hex}.json`, RepoTags: ["busybox:latest"], Layers: layers }]);
  await t.test("with links between layers, and a legacy repositories file", async () => {
    const file = join(directory, "legacy.tar");
    const entries: FileSpec[] = [
      { name: "one/" },
      { name: "one/VERSION", content: "1.0" },
      { name: "one/layer.tar", content: tar },
      { name: "two/layer.tar", content: empty },
      { name: "three/layer.tar", type: "symlink", linkName: "../one/layer.tar" },
      { name: "four/layer.tar", type: "hardlink", linkName: "one/layer.tar" },
      { name: "repositories", content: '{"busybox":{"latest":"one"}}' },
      { name: `${hex}.json`, content: config },
      {
        name: "manifest.json",
        content: members(["one/layer.tar", "two/layer.tar", "three/layer.tar", "four/layer.tar"]),
      },
    ];
    writeFileSync(file, tarOf(entries));
    const { diffIds, config: digest } = await identify(`docker-archive:${file}:docker.io/library/busybox`);
    assert.deepEqual(diffIds, [sha256(tar), sha256(empty), sha256(tar), sha256(tar)]);
    assert.equal(digest, sha256(config));
  });
  await t.test("with an OCI layout inside", async () => {
    const file = join(directory, "oci.tar");
    const image = makeImage([tar]);
    const index = {
      schemaVersion: 2,
      manifests: [
        { ...image.manifest, annotations: { "io.containerd.image.name": "docker.io/library/app:v1" } },
      ],
    };
    const blobName = (digest: string): string => `blobs/${digest.replace(":", "/")}`;
    const entries: FileSpec[] = [
      ...Array.from(image.blobs, ([digest, content]) => ({ name: blobName(digest), content })),
      { name: blobName(image.manifest.digest), content: image.manifestBytes },
      { name: "index.json", content: JSON.stringify(index) },
      { name: "oci-layout", content: '{"imageLayoutVersion":"1.0.0"}' },
      {
        name: "manifest.json",
        content: JSON.stringify([
          {
            Config: blobName(image.config.digest),
            RepoTags: ["app:v1"],
            Layers: image.layers.map(({ digest }) => blobName(digest)),
          },
        ]),
      },
    ];
    writeFileSync(file, tarOf(entries));
    assert.equal((await identify(`docker-archive:${file}:app:v1`)).manifest, image.manifest.digest);
    writeFileSync(file, tarOf(entries.filter(({ name }) => name !== "index.json")));
    assert.deepEqual((await identify(`docker-archive:${file}`)).diffIds, [sha256(tar)]);
  });
});

/** Layers whose merge every tool must agree on: explicit directories, so that modes are comparable. */
const CRAFTED: readonly (readonly FileSpec[])[] = [
  [
    { name: "./", mode: 0o755 },
    { name: "usr/" },
    { name: "usr/lib/", mode: 0o711 },
    { name: "usr/lib/libc", content: "c" },
    { name: "lib", type: "symlink", linkName: "usr/lib" },
    { name: "abs", type: "symlink", linkName: "/usr/lib" },
    { name: "etc/" },
    { name: "etc/a", content: "a" },
    { name: "etc/b", content: "b" },
    { name: "etc/conf.d/" },
    { name: "etc/conf.d/1", content: "1" },
    { name: "var/", mode: 0o700 },
    { name: "var/x", content: "x" },
    { name: "tofile/" },
    { name: "tofile/below", content: "z" },
    { name: "todir", content: "file" },
    { name: "h1", content: "linked" },
    { name: "h2", type: "hardlink", linkName: "h1" },
  ],
  [
    { name: "etc/", mode: 0o750, uid: 7 },
    { name: "etc/.wh.a" },
    { name: "etc/conf.d/" },
    { name: "etc/conf.d/2", content: "22" },
    { name: "etc/conf.d/.wh..wh..opq" },
    { name: "lib/libm", content: "mm" },
    { name: "abs/libz", content: "zzz" },
    { name: ".wh.var" },
    { name: "tofile", content: "now a file" },
    { name: "todir/" },
    { name: "todir/in", content: "i" },
  ],
  [
    { name: "h3", type: "hardlink", linkName: "h1" },
    { name: "var/", mode: 0o755 },
    { name: "var/y", content: "y" },
    { name: "h2", content: "own" },
    { name: "lib", type: "symlink", linkName: "usr/lib64" },
    { name: "usr/lib64/", mode: 0o755 },
    { name: "usr/.wh.lib" },
  ],
];

test("mergeLayers() agrees with umoci unpack", async (t) => {
  if (lacks(t, "umoci")) return;
  if (process.getuid?.() !== 0) return t.skip("not root: umoci cannot set owners");
  const there = await temporaryDirectory(t);
  for (let count = 1; count <= CRAFTED.length; count += 1) {
    const tars = CRAFTED.slice(0, count).map((specs) => tarOf(specs));
    const name = `oci:${there}/layout:l${count}`;
    const image = makeImage(tars);
    {
      await using destination = await openImageDestination(name, {});
      await writeImage(destination, image);
      await destination.publish(image.manifest);
    }
    const bundle = join(there, `bundle${count}`);
    await run("umoci", ["unpack", "--image", `${there}/layout:l${count}`, bundle]);
    const tree = mergeLayers(tars.map((tar) => layerTreeFromTar(tarEntries(tar))));
    assert.deepEqual(listTree(tree), listDirectory(join(bundle, "rootfs")), `${count} layers`);
  }
});

type Listing = Record<string, string>;

function listTree(tree: RootTree): Listing {
  return sorted(
    Array.from(walkRootTree(tree), ({ path, node: { inode } }) => {
      const { type, mode, uid, nlink, size, linkName } = inode;
      if (type === "symlink") return [path, `-> ${linkName}`];
      const what = type === "dir" ? "dir" : `${type} of ${size}, ${nlink} names`;
      return [path, `${what}, ${mode.toString(8)}, ${uid}`];
    }),
  );
}

function listDirectory(root: string): Listing {
  return sorted(
    pathsBelow(root).map((path) => {
      const found = lstatSync(join(root, path));
      if (found.isSymbolicLink()) return [path, `-> ${readlinkSync(join(root, path))}`];
      const what = found.isDirectory() ? "dir" : `reg of ${found.size}, ${found.nlink} names`;
      return [path, `${what}, ${(found.mode & 0o7777).toString(8)}, ${found.uid}`];
    }),
  );
}

/** All paths, symlinks not followed. */
function pathsBelow(root: string): readonly string[] {
  const paths = [""];
  for (const path of paths) {
    if (!lstatSync(join(root, path)).isDirectory()) continue;
    for (const name of readdirSync(join(root, path))) paths.push(path === "" ? name : `${path}/${name}`);
  }
  return paths;
}

function sorted(lines: readonly (readonly string[])[]): Listing {
  const byPath = new Map(lines.map(([path = "", text = ""]) => [path, text]));
  return Object.fromEntries([...byPath.keys()].toSorted().map((path) => [path, byPath.get(path) ?? ""]));
}
