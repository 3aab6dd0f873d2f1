/**
 * The merged metadata of an image, kept in the store.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Layer, MergedMeta, Store } from "../store/index.ts";
import type { MetaMerger } from "./meta-merger.ts";

/** To be counted up when the same layers are merged to another image than before. */
const MERGE_VERSION = 1;

/** Merged metadata that is there, and whether it had to be made. */
export interface EnsuredMeta extends MergedMeta {
  readonly made: boolean;
}

/** What is known before. */
export interface EnsureMergedMetaOptions {
  /** The lowest first. */
  readonly layers: readonly Layer[];
  /** What the store has noted. */
  readonly known: MergedMeta | undefined;
  readonly merger: MetaMerger;
}

/**
 * Finds the merged metadata of layers, or makes it. One that is damaged, or of other metadata images than the layers have
 * now, is none.
 *
 * @throws {EsgzError} `EROFS_INVALID`, `LIMIT_EXCEEDED`; `DIGEST_MISMATCH` for a layer's metadata that was changed while
 * it was open; `NO_SPACE`, `IO_FAILED`
 */
export async function ensureMergedMeta(store: Store, options: EnsureMergedMetaOptions): Promise<EnsuredMeta> {
  const { layers, known, merger } = options;
  const madeFrom = keyOf(layers);
  if (known?.madeFrom === madeFrom && (await store.content.read(known.digest)) !== undefined) {
    return { ...known, made: false };
  }
  const { bytes, digest } = await merger.merge(layers);
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
