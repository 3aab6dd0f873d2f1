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

/** Files of the layer that is practised on, and how often: then the compiler has seen what is hot. */
const FILES = 1500;
const ROUNDS = 4;

/**
 * Prepares a made-up layer a few times: opens its table of contents, compiles it, merges it. Takes about half a second of
 * one processor, in turns of some ten milliseconds.
 */
export async function rehearsePreparation(options: { readonly signal: AbortSignal }): Promise<void> {
  const blob = await makePracticeLayer({ files: FILES });
  for (let round = 0; round < ROUNDS; round += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal.aborted) return;
    const unverified = await openArchive(new MemoryBlob(blob));
    const { meta, dataSize } = compileLayerArchive(unverified.verify(unverified.tocDigest));
    await new Promise((resolve) => setImmediate(resolve));
    if (options.signal.aborted) return;
    mergeLayerMetas([meta, meta], [dataSize, dataSize]);
  }
}
