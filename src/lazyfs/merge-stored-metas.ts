/**
 * The metadata of layers as it lies in the store, merged.
 *
 * @module
 */
import { hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { digestMismatch, type Digest } from "../oci/index.ts";
import type { Layer } from "../store/index.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

/** What is needed of a layer. */
export type MergePart = Pick<Layer, "metaPath" | "metaDigest" | "dataSize">;

/** A merged image. */
export interface MergedBytes {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Digest;
}

/**
 * Reads, verifies and merges metadata images, the lowest first.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `EROFS_INVALID`, `LIMIT_EXCEEDED`; what reading files throws
 */
export async function mergeStoredMetas(parts: readonly MergePart[]): Promise<MergedBytes> {
  const metas = await Promise.all(parts.map(readMeta));
  const bytes = mergeLayerMetas(
    metas,
    parts.map(({ dataSize }) => dataSize),
  );
  return { bytes, digest: sha256(bytes) };
}

async function readMeta({ metaPath, metaDigest }: MergePart): Promise<Uint8Array> {
  const bytes = await readFile(metaPath);
  const found = sha256(bytes);
  if (found !== metaDigest) throw digestMismatch("metadata of a layer", metaDigest, found);
  return bytes;
}

function sha256(bytes: Uint8Array): Digest {
  return `sha256:${hash("sha256", bytes)}`;
}
