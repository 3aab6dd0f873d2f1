import { createHash } from "node:crypto";
import { existsSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Descriptor, type Digest, encodeManifest, MEDIA_TYPES } from "../../src/oci/index.ts";
import { digestOfFile } from "./digest-of-file.ts";

/**
 * Makes an OCI layout, tag `plain`, with tars as its layers, uncompressed. They are linked, not copied. The index comes last:
 * what has one is complete.
 */
export async function writeTarLayout(
  directory: string,
  image: { readonly tars: readonly string[]; readonly config?: Readonly<Record<string, unknown>> },
): Promise<void> {
  const blobs = join(directory, "blobs/sha256");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(blobs, { recursive: true });
  const layers: Descriptor[] = [];
  for (const tar of image.tars) {
    const digest = await digestOfFile(tar);
    const path = join(blobs, digest.slice(7));
    if (!existsSync(path)) linkSync(tar, path);
    layers.push({ mediaType: MEDIA_TYPES.ociLayer, digest, size: statSync(tar).size });
  }
  const config = writeBlob(
    blobs,
    encodeManifest({
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      ...(image.config === undefined ? {} : { config: image.config }),
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => digest) },
    }),
  );
  const manifest = writeBlob(
    blobs,
    encodeManifest({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, ...config },
      layers,
    }),
  );
  writeFileSync(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { "org.opencontainers.image.ref.name": "plain" };
  const entry = { mediaType: MEDIA_TYPES.ociManifest, ...manifest, annotations };
  writeFileSync(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
}

function writeBlob(blobs: string, bytes: Uint8Array): { digest: Digest; size: number } {
  const hex = createHash("sha256").update(bytes).digest("hex");
  writeFileSync(join(blobs, hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}
