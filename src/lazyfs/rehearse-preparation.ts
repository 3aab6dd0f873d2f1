/**
 * Practice for a thread that will prepare images: the first one finds the code compiled.
 *
 * @module
 */
import { MemoryBlob } from "../blob/index.ts";
import { openArchive } from "../estargz/index.ts";
import { encodeChunkTable } from "../store/index.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";
import { makePracticeLayer } from "./practice-layer.ts";

/** Entries of the two layers that are practised on, the second over the end of the first. */
const FILES = 1500;
const UPPER_FILES = 500;

/** The blobs of a made-up image, the lowest layer first. */
export async function makePracticeLayers(): Promise<readonly Uint8Array[]> {
  const lower = await makePracticeLayer({ files: FILES });
  const upper = await makePracticeLayer({ files: UPPER_FILES, first: FILES - UPPER_FILES / 2 });
  return [lower, upper];
}

/** Prepares a made-up image once: opens its tables of contents, compiles and merges them. */
export async function practisePreparation(layers: readonly Uint8Array[]): Promise<void> {
  const metas: Uint8Array[] = [];
  const dataSizes: number[] = [];
  for (const blob of layers) {
    const unverified = await openArchive(new MemoryBlob(blob));
    const { meta, rows, dataSize } = compileLayerArchive(unverified.verify(unverified.tocDigest));
    encodeChunkTable({ rows, dataSize });
    metas.push(meta);
    dataSizes.push(dataSize);
  }
  mergeLayerMetas(metas, dataSizes);
}
