/**
 * For tests: layers from lists of files, as a tar or as eStargz.
 *
 * @module
 */
import { gzipSync, zstdCompressSync } from "node:zlib";
import { concatBytes } from "../bytes/index.ts";
import { createCompressor, writeArchive } from "../estargz/index.ts";
import { MEDIA_TYPES } from "../oci/index.ts";
import { eventsOf, type FileSpec, tarOf as tarOfSpecs } from "../tar/make-tar.fixture.ts";
import { sha256, type ServedLayer } from "./serve-image.fixture.ts";

/** The tar of these files. They belong to whoever runs the test: others cannot give files away. */
export function tarOf(files: readonly FileSpec[]): Uint8Array {
  const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  return tarOfSpecs(files.map((file) => ({ ...owner, mode: 0o644, ...file })));
}

/** An eStargz layer of these files. */
export async function estargzOf(
  files: readonly FileSpec[],
  chunkSize: number = 4 << 20,
): Promise<ServedLayer> {
  const archive = writeArchive(eventsOf(tarOf(files)), {
    format: "estargz",
    level: 1,
    chunkSize,
    landmark: "no-prefetch",
    compressor: createCompressor("zlib"),
    jobs: 2,
  });
  const parts: Uint8Array[] = [];
  for await (const part of archive) parts.push(part);
  const { annotations, diffId } = await archive.summary;
  const mediaType = MEDIA_TYPES.ociLayerGzip;
  return { blob: concatBytes(parts), mediaType, diffId, annotations: { ...annotations } };
}

/** An ordinary layer of these files. */
export function plainLayerOf(files: readonly FileSpec[], compression: "gzip" | "zstd" | "none"): ServedLayer {
  return plainLayer(tarOf(files), compression);
}

/** An ordinary layer of this tar. */
export function plainLayer(tar: Uint8Array, compression: "gzip" | "zstd" | "none"): ServedLayer {
  const diffId = sha256(tar);
  switch (compression) {
    case "gzip":
      return { blob: gzipSync(tar, { level: 1 }), mediaType: MEDIA_TYPES.ociLayerGzip, diffId };
    case "zstd":
      return { blob: zstdCompressSync(tar), mediaType: MEDIA_TYPES.ociLayerZstd, diffId };
    case "none":
      return { blob: tar, mediaType: MEDIA_TYPES.ociLayer, diffId };
  }
}

/** Bytes that do not compress, the same for the same seed (xorshift32). */
export function noise(size: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(size);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < size; i += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state;
  }
  return bytes;
}
