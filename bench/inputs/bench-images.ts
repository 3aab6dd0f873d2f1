/**
 * The inputs as images in the harbor's registry: `bench/NAME` with the tags `plain`, `gzip` and `esgz`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Descriptor, type Digest, encodeManifest, MEDIA_TYPES } from "../../src/oci/index.ts";
import { runEsgz } from "../esgz-command.ts";
import type { Harbor } from "../harbor/index.ts";
import { type BenchInputName, ensureBenchInput } from "./bench-inputs.ts";
import { digestOfFile } from "./digest-of-file.ts";

/** The place of an input as an OCI layout with uncompressed layers: `DIRECTORY`, tag `plain`. */
export async function ensureBenchLayout(name: BenchInputName, cache: string): Promise<string> {
  const directory = join(cache, "layouts", name);
  if (existsSync(join(directory, "index.json"))) return directory;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(join(directory, "blobs/sha256"), { recursive: true });
  const layers: Descriptor[] = [];
  for (const tar of ensureBenchInput(name, cache).tars) {
    const digest = await digestOfFile(tar);
    linkSync(tar, join(directory, "blobs/sha256", digest.slice(7)));
    layers.push({ mediaType: MEDIA_TYPES.ociLayer, digest, size: statSync(tar).size });
  }
  const config = writeBlob(
    directory,
    encodeManifest({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    }),
  );
  const manifest = writeBlob(
    directory,
    encodeManifest({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
      layers,
    }),
  );
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const entry = {
    mediaType: MEDIA_TYPES.ociManifest,
    ...manifest,
    annotations: { "org.opencontainers.image.ref.name": "plain" },
  };
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  return directory;
}

/** Makes sure that the registry has the input as `gzip` and `esgz`; returns the repository. */
export async function ensureBenchImage(
  name: BenchInputName,
  options: { readonly cache: string; readonly harbor: Harbor },
): Promise<string> {
  const repository = `bench/${name}`;
  const layout = await ensureBenchLayout(name, options.cache);
  for (const [tag, format] of [
    ["gzip", "gzip"],
    ["esgz", "estargz"],
  ] as const) {
    const done = join(options.cache, `pushed-${name}-${tag}`);
    if (existsSync(done)) continue;
    runEsgz(
      "convert",
      `oci:${layout}:plain`,
      `${options.harbor.direct}/${repository}:${tag}`,
      "--format",
      format,
      "-q",
    );
    writeFileSync(done, "");
  }
  return repository;
}

function writeBlob(directory: string, bytes: Uint8Array): { digest: Digest; size: number } {
  const hex = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(directory, "blobs/sha256", hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}
