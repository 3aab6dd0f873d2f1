/**
 * Practice for a process that will prepare images: the first one finds the code compiled.
 *
 * @module
 */
import { MemoryBlob } from "../blob/index.ts";
import { openArchive } from "../estargz/index.ts";
import { compileLayerArchive } from "./compile-layer-archive.ts";
import { mergeLayerMetas } from "./merge-layer-metas.ts";
import { makePracticeLayer } from "./practice-layer.ts";

/** Entries of the two layers that are practised on, the second over the end of the first. */
const FILES = 1500;
const UPPER_FILES = 500;
/** How often: then the compiler has seen what is hot. */
const ROUNDS = 4;

/**
 * Prepares a made-up image a few times: opens tables of contents, compiles them, merges them. Takes about half a second of
 * one processor, in turns of some ten milliseconds.
 */
export async function rehearsePreparation(options: { readonly signal: AbortSignal }): Promise<void> {
  const lower = await makePracticeLayer({ files: FILES });
  const upper = await makePracticeLayer({ files: UPPER_FILES, first: FILES - UPPER_FILES / 2 });
  for (let round = 0; round < ROUNDS; round += 1) {
    const metas: Uint8Array[] = [];
    const dataSizes: number[] = [];
    for (const blob of [lower, upper]) {
      await new Promise((resolve) => setImmediate(resolve));
      if (options.signal.aborted) return;
      const unverified = await openArchive(new MemoryBlob(blob));
      const { meta, dataSize } = compileLayerArchive(unverified.verify(unverified.tocDigest));
      metas.push(meta);
      dataSizes.push(dataSize);
    }
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal.aborted) return;
    mergeLayerMetas(metas, dataSizes);
  }
}
