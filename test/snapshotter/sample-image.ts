/**
 * A small image that runs, as an OCI layout, with each layer as a directory too.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import type { Digest } from "../../src/oci/index.ts";

const run = promisify(execFile);

/** A layer of the sample. */
export interface SampleLayer {
  readonly digest: Digest;
  readonly diffId: Digest;
  /** What it shows as a lower directory of overlayfs. */
  readonly directory: string;
}

/** An image with all that a test wants to know about it. */
export interface SampleImage {
  /** A tar of the OCI layout, for `ctr images import`. */
  readonly archive: string;
  /** Its name in the layout. */
  readonly name: string;
  /** The lowest first. */
  readonly layers: readonly SampleLayer[];
}

const TOC_DIGEST = "containerd.io/snapshot/stargz/toc.digest";

/**
 * Makes an image: busybox in the lowest layer, `/etc/layer` with the number of the layer in each, `/gone` in the lowest and
 * removed by the next. `seed` makes its digests differ from those of others.
 */
export async function makeSampleImage(
  folder: string,
  options: { readonly layers: number; readonly seed?: string },
): Promise<SampleImage> {
  const { layers: count, seed = "" } = options;
  const layout = join(folder, "layout");
  await mkdir(join(layout, "blobs", "sha256"), { recursive: true });
  const layers: SampleLayer[] = [];
  const descriptors: object[] = [];
  for (let index = 0; index < count; index += 1) {
    const directory = join(folder, `layer-${index}`);
    await writeLayer(directory, { index, seed });
    const tar = (await run("tar", ["-C", directory, "-c", "."], { encoding: "buffer", maxBuffer: 64 << 20 }))
      .stdout;
    const blob = gzipSync(tar, { level: 1 });
    const digest = await writeBlob(layout, blob);
    layers.push({ digest, diffId: digestOf(tar), directory });
    const annotations = { [TOC_DIGEST]: digestOf(Buffer.from(`table of ${digest}`)) };
    const mediaType = "application/vnd.oci.image.layer.v1.tar+gzip";
    descriptors.push({ mediaType, digest, size: blob.length, annotations });
    if (index === 1) await showAsOverlay(directory);
  }
  const config = {
    architecture: process.arch === "x64" ? "amd64" : process.arch,
    os: "linux",
    config: { Env: ["PATH=/bin"], Cmd: ["/bin/cat", "/etc/layer"] },
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
  };
  const name = "example.test/sample:1";
  await writeIndex(layout, { name, config, layers: descriptors });
  const archive = join(folder, "image.tar");
  await run("tar", ["-C", layout, "-cf", archive, "."]);
  await rm(layout, { recursive: true });
  return { archive, name, layers };
}

async function writeLayer(
  directory: string,
  { index, seed }: { index: number; seed: string },
): Promise<void> {
  await mkdir(join(directory, "etc"), { recursive: true });
  await writeFile(join(directory, "etc", "layer"), `${index}\n`);
  await writeFile(join(directory, "etc", `layer-${index}`), seed);
  if (index === 1) await writeFile(join(directory, ".wh.gone"), "");
  if (index !== 0) return;
  await writeFile(join(directory, "gone"), "");
  for (const name of ["bin", "proc", "sys", "dev", "tmp"]) await mkdir(join(directory, name));
  await copyFile("/bin/busybox", join(directory, "bin", "busybox"));
  await chmod(join(directory, "bin", "busybox"), 0o755);
  for (const tool of ["sh", "cat", "ls", "sleep", "touch"]) {
    await symlink("busybox", join(directory, "bin", tool));
  }
}

/** Marks of tar archives become those of overlayfs. */
async function showAsOverlay(directory: string): Promise<void> {
  await rm(join(directory, ".wh.gone"));
  await run("mknod", [join(directory, "gone"), "c", "0", "0"]);
}

async function writeIndex(
  layout: string,
  { config, layers, name }: { name: string; config: object; layers: readonly object[] },
): Promise<void> {
  const describeBlob = async (mediaType: string, value: object): Promise<object> => {
    const bytes = Buffer.from(JSON.stringify(value));
    return { mediaType, digest: await writeBlob(layout, bytes), size: bytes.length };
  };
  const manifest = await describeBlob("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config: await describeBlob("application/vnd.oci.image.config.v1+json", config),
    layers,
  });
  const annotations = { "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  await writeFile(join(layout, "index.json"), JSON.stringify(index));
  await writeFile(join(layout, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

async function writeBlob(layout: string, bytes: Uint8Array): Promise<Digest> {
  const digest = digestOf(bytes);
  await writeFile(join(layout, "blobs", "sha256", digest.slice("sha256:".length)), bytes);
  return digest;
}

function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
