/**
 * The merged metadata of an image, kept in the store.
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { digestMismatch, type Digest } from "../oci/index.ts";
import type { Layer, MergedMeta, Store } from "../store/index.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";

/** To be counted up when the same layers are merged to another image than before. */
const MERGE_VERSION = 1;

/** Merged metadata that is there, and whether it had to be made. */
export interface EnsuredMeta extends MergedMeta {
  readonly made: boolean;
}

/**
 * Finds the merged metadata of layers, or makes it. One that is damaged, or of other metadata images than the layers have
 * now, is none.
 *
 * @param layers the lowest first
 * @param known what the store has noted
 * @throws {EsgzError} `EROFS_INVALID`, `LIMIT_EXCEEDED`; `DIGEST_MISMATCH` for a layer's metadata that was changed while
 * it was open; `NO_SPACE`, `IO_FAILED`
 */
export async function ensureMergedMeta(
  store: Store,
  { layers, known }: { readonly layers: readonly Layer[]; readonly known: MergedMeta | undefined },
): Promise<EnsuredMeta> {
  const madeFrom = keyOf(layers);
  if (known?.madeFrom === madeFrom && (await store.content.read(known.digest)) !== undefined) {
    return { ...known, made: false };
  }
  const metas = await Promise.all(layers.map(readMeta));
  const bytes = mergeLayerMetas(
    metas,
    layers.map(({ dataSize }) => dataSize),
  );
  const digest: Digest = `sha256:${hash("sha256", bytes)}`;
  // It can be made again at any time, so nobody needs to wait for the disk.
  await store.content.write(digest, bytes, { durable: false });
  return { digest, madeFrom, made: true };
}

/** What a merge depends on: the layers' metadata, which says where on its device each file lies. */
function keyOf(layers: readonly Layer[]): string {
  const key = createHash("sha256").update(`merge ${MERGE_VERSION}\n`);
  for (const { metaDigest, dataSize } of layers) key.update(`${metaDigest} ${dataSize}\n`);
  return key.digest("hex");
}

async function readMeta({ metaPath, metaDigest }: Layer): Promise<Uint8Array> {
  const bytes = await readFile(metaPath);
  const found = `sha256:${hash("sha256", bytes)}`;
  if (found !== metaDigest) throw digestMismatch("metadata of a layer", metaDigest, found);
  return bytes;
}
