/** Layers and images made for tests. */
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { gzipSync } from "node:zlib";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import {
  type Descriptor,
  type Digest,
  encodeManifest,
  type LayerCompression,
  layerMediaType,
  type MediaTypeFamily,
  MEDIA_TYPES,
} from "../oci/index.ts";
import { TarDecoder, type TarEntry } from "../tar/index.ts";
import type { ImageDestination } from "./image-destination.ts";

/** The entries of a tar. */
export function tarEntries(tar: Uint8Array): TarEntry[] {
  const decoder = new TarDecoder();
  const entries: TarEntry[] = [];
  for (const event of decoder.push(tar)) if (event.kind === "entry") entries.push(event.entry);
  for (const event of decoder.finish()) if (event.kind === "entry") entries.push(event.entry);
  return entries;
}

/** sha256 of bytes. */
export function sha256(bytes: Uint8Array): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** A directory that is removed after the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "esgz-image-"));
  t.after(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** All bytes of a stream. */
export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const piece of pieces) parts.push(piece);
  return concatBytes(parts);
}

/** An image in memory. */
export interface MadeImage {
  readonly manifestBytes: Uint8Array;
  readonly manifest: Descriptor;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  /** Config and layers by digest. */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>;
}

/** How to make an image. */
export interface MakeImageOptions {
  readonly family?: MediaTypeFamily;
  readonly compression?: LayerCompression;
  readonly architecture?: string;
}

/** An image of these tars, compressed with gzip unless told otherwise. */
export function makeImage(tars: readonly Uint8Array[], options: MakeImageOptions = {}): MadeImage {
  const { family = "oci", compression = "gzip", architecture = "amd64" } = options;
  const blobs = new Map<Digest, Uint8Array>();
  const add = (bytes: Uint8Array, mediaType: string): Descriptor => {
    const digest = sha256(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layers = tars.map((tar) =>
    add(compression === "gzip" ? gzipSync(tar) : tar, layerMediaType(family, compression)),
  );
  const configBytes = encodeUtf8(
    JSON.stringify({
      architecture,
      os: "linux",
      config: { Env: ["PATH=/bin"], Cmd: ["/bin/sh"] },
      rootfs: { type: "layers", diff_ids: tars.map((tar) => sha256(tar)) },
      history: tars.map(() => ({ created_by: "test" })),
    }),
  );
  const config = add(configBytes, family === "oci" ? MEDIA_TYPES.ociConfig : MEDIA_TYPES.dockerConfig);
  const mediaType = family === "oci" ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.dockerManifest;
  const manifestBytes = encodeManifest({ schemaVersion: 2, mediaType, config, layers });
  const manifest = { mediaType, digest: sha256(manifestBytes), size: manifestBytes.length };
  return { manifestBytes, manifest, config, layers, blobs };
}

/** Writes an image's blobs and manifest, without publishing. */
export async function writeImage(destination: ImageDestination, image: MadeImage): Promise<void> {
  for (const expected of [...image.layers, image.config]) {
    const content = image.blobs.get(expected.digest) ?? new Uint8Array(0);
    if (!(await destination.hasBlob(expected))) await destination.writeBlob(content, { expected });
  }
  await destination.writeManifest({ bytes: image.manifestBytes, mediaType: image.manifest.mediaType });
}
