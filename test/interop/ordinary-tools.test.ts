/**
 * Tools that know nothing of tables of contents read converted layers as ordinary ones.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { lstat, mkdir, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import type { ConvertOptions } from "../../src/convert/index.ts";
import { sampleLayers, Workshop } from "../../src/convert/sample-image.fixture.ts";
import { hexOf, parseManifest } from "../../src/oci/index.ts";

const run = promisify(execFile);
const isRoot = process.getuid?.() === 0;

let shop: Workshop;
before(async () => {
  shop = await Workshop.open();
  await shop.makeImage(shop.layout("source"), { layers: await sampleLayers() });
});
after(async () => shop[Symbol.asyncDispose]());

/** What makes a command unusable here, or undefined. */
async function missing(command: string): Promise<string | undefined> {
  try {
    await run(command, ["--version"]);
    return undefined;
  } catch {
    return `${command} is not installed`;
  }
}

async function convertTo(layout: string, options: Partial<ConvertOptions>): Promise<void> {
  await shop.convert(shop.layout("source"), shop.layout(layout), options);
}

const GZIP_VARIANTS: readonly (readonly [string, Partial<ConvertOptions>])[] = [
  ["eStargz", { chunkSize: 65536 }],
  ["eStargz with shared members", { chunkSize: 65536, minChunkSize: 20_000 }],
  ["eStargz with prioritized files", { prioritize: ["bin/hard2", "data/*"] }],
  ["eStargz with an external TOC", { externalToc: true }],
  ["eStargz with its diff ids", { externalToc: true, keepDiffId: true }],
  ["gzip", { format: "gzip", force: true }],
  ["no compression", { format: "uncompressed" }],
];
const ZSTD_VARIANTS: readonly (readonly [string, Partial<ConvertOptions>])[] = [
  ["zstd:chunked", { format: "zstd:chunked", chunkSize: 65536 }],
  ["zstd:chunked with its diff ids", { format: "zstd:chunked", keepDiffId: true }],
  ["zstd", { format: "zstd", force: true }],
];

for (const [index, [name, options]] of [...GZIP_VARIANTS, ...ZSTD_VARIANTS].entries()) {
  test(`skopeo copies ${name}, and GNU tar lists every layer of it`, async (t) => {
    const layout = `tools${index}`;
    await convertTo(layout, options);
    const tar = (await missing("tar")) ?? (await missing("gzip")) ?? (await missing("zstd"));
    if (tar !== undefined) return t.skip(tar);
    const listed = await listLayers(layout);
    assert.deepEqual(listed, await listLayers("source"));
    assert.equal(listed[0]?.includes("etc/passwd"), true);
    const skopeo = await missing("skopeo");
    if (skopeo !== undefined) return t.skip(skopeo);
    await run("skopeo", [
      "--insecure-policy",
      "copy",
      shop.layout(layout),
      `dir:${join(shop.directory, `${layout}-copy`)}`,
    ]);
  });
}

const OWN_FILES: ReadonlySet<string> = new Set([
  ".prefetch.landmark",
  ".no.prefetch.landmark",
  "stargz.index.json",
]);

/** The names in each layer as GNU tar prints them, each once; those of the format itself left out. */
async function listLayers(layout: string): Promise<string[][]> {
  await using source = await shop.source(shop.layout(layout));
  const { layers } = parseManifest((await source.fetchRoot()).bytes);
  const lists: string[][] = [];
  for (const { digest } of layers) {
    const blob = join(shop.directory, layout, "blobs", "sha256", hexOf(digest));
    const { stdout } = await run("tar", ["-tf", blob]);
    const names = new Set(stdout.split("\n").filter((name) => name !== "" && !OWN_FILES.has(name)));
    lists.push([...names].sort());
  }
  return lists;
}

for (const [index, [name, options]] of GZIP_VARIANTS.entries()) {
  test(`umoci unpacks ${name} to the tree of the source image`, async (t) => {
    const reason = (await missing("umoci")) ?? (isRoot ? undefined : "device files need root");
    if (reason !== undefined) return t.skip(reason);
    const layout = `unpacked${index}`;
    await convertTo(layout, options);
    if (index === 0) {
      await convertTo("plain", { format: "uncompressed" });
      await unpack("plain");
    }
    await unpack(layout);
    const found = (await treeOf(layout)).filter(([path]) => !OWN_FILES.has(path));
    assert.deepEqual(found, await treeOf("plain"));
  });
}

async function unpack(layout: string): Promise<void> {
  const bundles = join(shop.directory, "bundles");
  await mkdir(bundles, { recursive: true });
  await run("umoci", ["unpack", "--image", `${join(shop.directory, layout)}:1`, join(bundles, layout)]);
}

/** Every path of an unpacked image, with what identifies it. */
async function treeOf(layout: string): Promise<(readonly [string, string])[]> {
  const root = join(shop.directory, "bundles", layout, "rootfs");
  const paths = await readdir(root, { recursive: true });
  const tree: (readonly [string, string])[] = [];
  for (const path of paths.sort()) {
    const full = join(root, path);
    const { mode, uid, gid, size, rdev, mtimeMs, nlink } = await lstat(full);
    const type = mode & 0o170000;
    const content =
      type === 0o100000
        ? createHash("sha256")
            .update(await readFile(full))
            .digest("hex")
        : type === 0o120000
          ? await readlink(full)
          : "";
    const isDirectory = type === 0o040000;
    // Directories change when the landmark is unpacked into them.
    const rest = isDirectory ? [] : [size, Math.floor(mtimeMs), nlink];
    tree.push([path, [mode.toString(8), uid, gid, rdev, ...rest, content].join(" ")]);
  }
  return tree;
}

test("podman pulls converted images from a registry", async (t) => {
  const reason = (await missing("podman")) ?? (isRoot ? undefined : "a storage of its own needs root");
  if (reason !== undefined) return t.skip(reason);
  // Without the layer that has a name twice: podman takes no such layer, converted or not.
  const layers = (await sampleLayers()).slice(1);
  await shop.makeImage(shop.image("podman"), { layers });
  const storage = ["--root", join(shop.directory, "storage"), "--runroot", join(shop.directory, "run")];
  const engine = [...storage, "--storage-driver", "vfs", "--tmpdir", join(shop.directory, "podman")];
  const podman = async (...args: string[]): Promise<string> =>
    (await run("podman", [...engine, ...args])).stdout.trim();
  for (const format of ["estargz", "zstd:chunked"] as const) {
    const name = shop.image(`podman/${format.replace(":", "-")}`);
    await shop.convert(shop.image("podman"), name, { format });
    await podman("pull", "--quiet", "--tls-verify=false", name);
    const root = await podman("image", "mount", name);
    assert.equal(await readFile(join(root, "app/main"), "utf8"), "#!/bin/sh\necho hello\n");
    assert.equal((await lstat(join(root, "app/copy"))).ino, (await lstat(join(root, "app/data"))).ino);
    await podman("image", "umount", name);
  }
  await podman("rmi", "--all", "--force");
});
