/**
 * Where the metadata of layers is merged: by threads that are there for it; without them here unless it is huge, else in a thread
 * of its own, for a tenth of a second goes by for 100,000 files, in which a server could answer no read.
 *
 * @module
 */
import type { Layer } from "../store/index.ts";
import { type MergedBytes, mergeStoredMetas } from "./merge-stored-metas.ts";
import { PreparationThreads } from "./preparation-threads.ts";

/**
 * With fewer chunks, and so fewer files, merging takes less than 50 ms here, where its code is compiled: about what a thread
 * takes to start, which then has its code to compile.
 */
const FEW_CHUNKS = 60_000;

/** Merges metadata. Disposing ends a thread of its own. */
export class MetaMerger implements AsyncDisposable {
  readonly #threads: PreparationThreads | undefined;
  #own: PreparationThreads | undefined;

  /** @param threads which it uses and leaves */
  constructor(threads?: PreparationThreads) {
    this.#threads = threads;
  }

  /**
   * Merges the metadata images of layers, the lowest first. They are verified first.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `EROFS_INVALID`, `LIMIT_EXCEEDED`, `IO_FAILED`
   */
  async merge(layers: readonly Layer[]): Promise<MergedBytes> {
    const parts = layers.map(({ metaPath, metaDigest, dataSize }) => ({ metaPath, metaDigest, dataSize }));
    if (this.#threads !== undefined) return await this.#threads.merge(parts);
    const chunks = layers.reduce((sum, { chunkCount }) => sum + chunkCount, 0);
    if (chunks < FEW_CHUNKS) return await mergeStoredMetas(parts);
    this.#own ??= new PreparationThreads({ threads: 1 });
    return await this.#own.merge(parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#own?.[Symbol.asyncDispose]();
  }
}
