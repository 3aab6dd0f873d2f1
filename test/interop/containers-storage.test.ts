/**
 * The library below Podman pulls layers of its dialect of zstd:chunked in parts, and rebuilds their tars to the bit; and
 * so does Podman itself.
 */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { EVERYTHING, sampleLayers, Workshop } from "../../src/convert/sample-image.fixture.ts";
import type { ConvertOptions } from "../../src/convert/index.ts";
import { type Descriptor, type Digest, hexOf, parseImageConfig, parseManifest } from "../../src/oci/index.ts";
import { type TarEvent, TarDecoder } from "../../src/tar/index.ts";
import { buildGoProgram, type GoProgram } from "./go-program.ts";

const run = promisify(execFile);
const PROGRAM = join(import.meta.dirname, "containers-storage");
const TAGS = "exclude_graphdriver_btrfs exclude_graphdriver_zfs containers_image_openpgp";
const DIALECT = { format: "zstd:chunked", zstdDialect: "containers" } as const;
const TAR_SPLIT = "io.github.containers.zstd-chunked.tarsplit-position";
/** The kernel's number of overlayfs, which cannot lie on one of its kind. */
const OVERLAYFS = 0x794c7630;

/** What the library found. */
interface Applied {
  readonly diffId: Digest;
  readonly rebuilt: Digest;
  readonly size: number;
}

let shop: Workshop;
let buildDirectory: string;
let binary: GoProgram;
before(async () => {
  shop = await Workshop.open();
  buildDirectory = await mkdtemp(join(tmpdir(), "esgz-containers-storage-"));
  const reason = await noOverlay();
  const path = join(buildDirectory, "containers-storage");
  binary = reason === undefined ? await buildGoProgram(PROGRAM, { path, tags: TAGS }) : { missing: reason };
});
after(async () => {
  await shop[Symbol.asyncDispose]();
  await rm(buildDirectory, { recursive: true });
});

/** Why there can be no overlay here; the library pulls in parts with that driver only. */
async function noOverlay(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "an overlay of its own needs root";
  const { type } = await statfs(buildDirectory);
  return type === OVERLAYFS ? "the temporary directory lies on an overlay" : undefined;
}

/** The vectors' tar without the entry whose name occurs again: the library takes no name twice. */
async function tarWithoutDuplicates(): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const seen = new Set<string>();
  let isDropping = false;
  const decoder = new TarDecoder({ sparse: "raw" });
  const events: TarEvent[] = [...decoder.push(await readFile(EVERYTHING)), ...decoder.finish()];
  for (const event of events) {
    if (event.kind === "entry") {
      isDropping = seen.has(event.entry.name);
      seen.add(event.entry.name);
    } else if (event.kind === "trailer") isDropping = false;
    if (!isDropping) parts.push(event.kind === "entry" ? event.entry.rawHeader : event.bytes);
  }
  return Buffer.concat(parts);
}

interface ConvertedLayer {
  readonly descriptor: Descriptor;
  readonly diffId: Digest | undefined;
  /** The file of the layer's blob. */
  readonly blob: string;
}

async function convertTar(
  name: string,
  { tar, options }: { readonly tar: Uint8Array; readonly options: Partial<ConvertOptions> },
): Promise<ConvertedLayer> {
  await shop.makeImage(shop.layout(`${name}-source`), { layers: [{ tar, compression: "uncompressed" }] });
  const report = await shop.convert(shop.layout(`${name}-source`), shop.layout(name), options);
  const fileOf = ({ digest }: { readonly digest: Digest }): string =>
    join(shop.directory, name, "blobs", "sha256", hexOf(digest));
  const manifest = parseManifest(await readFile(fileOf(report.root)));
  const [descriptor] = manifest.layers;
  assert.ok(descriptor !== undefined);
  const config = parseImageConfig(await readFile(fileOf(manifest.config)));
  return { descriptor, diffId: config.rootfs.diff_ids?.[0], blob: fileOf(descriptor) };
}

/** Lets the library pull a layer, into a store that is gone afterwards. */
async function applyLayer(path: string, { descriptor, blob }: ConvertedLayer): Promise<Applied> {
  const store = await mkdtemp(join(buildDirectory, "store-"));
  const { stdout } = await run(path, [JSON.stringify(descriptor.annotations), blob, store]);
  return JSON.parse(stdout) as Applied;
}

const VARIANTS: readonly (readonly [string, Partial<ConvertOptions>])[] = [
  ["files in one chunk", {}],
  ["files in many chunks", { chunkSize: 4096 }],
  ["prioritized files", { prioritize: ["data/*", "bin/hard"] }],
  ["level 19", { level: 19 }],
];

for (const [index, [what, options]] of VARIANTS.entries()) {
  test(`containers-storage pulls a layer in parts and rebuilds its tar: ${what}`, async (t) => {
    if ("missing" in binary) return t.skip(binary.missing);
    const tar = await tarWithoutDuplicates();
    const layer = await convertTar(`variant${index}`, { tar, options: { ...DIALECT, ...options } });
    const applied = await applyLayer(binary.path, layer);
    assert.deepEqual([applied.diffId, applied.rebuilt], [layer.diffId, layer.diffId]);
  });
}

test("containers-storage pulls a layer whole whose tar has a name twice", async (t) => {
  if ("missing" in binary) return t.skip(binary.missing);
  const layer = await convertTar("twice", { tar: await readFile(EVERYTHING), options: DIALECT });
  assert.equal(layer.descriptor.annotations?.[TAR_SPLIT], undefined);
  await assert.rejects(
    applyLayer(binary.path, layer),
    /layers without tar-split data don't support partial pulls/,
  );
});

test("podman pulls a layer in parts", async (t) => {
  const reason = await noOverlay();
  if (reason !== undefined) return t.skip(reason);
  const found = await run("podman", ["--version"]).catch(() => undefined);
  if (found === undefined) return t.skip("podman is not installed");
  await shop.makeImage(shop.image("podman"), { layers: (await sampleLayers()).slice(1, 2) });
  const configuration = join(buildDirectory, "storage.conf");
  const root = join(buildDirectory, "podman");
  await writeFile(
    configuration,
    `[storage]\ndriver = "overlay"\nrunroot = "${root}/run"\ngraphroot = "${root}/graph"\n` +
      `[storage.options]\npull_options = {enable_partial_images = "true"}\n`,
  );
  const env = { ...process.env, CONTAINERS_STORAGE_CONF: configuration };
  // A place of its own for what Podman keeps while the machine runs, too: a reset takes it away.
  const podman = async (...args: string[]): Promise<string> =>
    (await run("podman", ["--tmpdir", `${root}/tmp`, ...args], { env })).stdout.trim();
  t.after(async () => {
    await podman("image", "umount", "--all", "--force");
    await podman("system", "reset", "--force");
  });
  const name = shop.image("podman/containers");
  await shop.convert(shop.image("podman"), name, { ...DIALECT, chunkSize: 4096 });
  shop.requests.length = 0;
  await podman("pull", "--quiet", "--tls-verify=false", name);
  assert.ok(shop.requests.some(({ status, url }) => status === 206 && url.includes("/blobs/")));
  const mount = await podman("image", "mount", name);
  assert.equal(await readFile(join(mount, "app/main"), "utf8"), "#!/bin/sh\necho hello\n");
  assert.equal(await readFile(join(mount, "app/copy"), "utf8"), "0123456789".repeat(30_000));
});
