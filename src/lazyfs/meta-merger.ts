/**
 * Where the metadata of layers is merged: here unless it is huge, else in a thread of its own, for a tenth of a second goes by
 * for 100,000 files, in which a server could answer no read.
 *
 * @module
 */
import type { Layer } from "../store/index.ts";
import { programBeside, WorkerPool } from "../workers/index.ts";
import { type MergedBytes, type MergePart, mergeStoredMetas } from "./merge-stored-metas.ts";

/**
 * With fewer chunks, and so fewer files, merging takes less than 50 ms here, where its code is compiled: about what a thread
 * takes to start, which then has its code to compile.
 */
const FEW_CHUNKS = 60_000;
/** Layers of so many bytes together will hardly have few files. */
const LARGE_IMAGE = 1 << 30;

/** Merges metadata. Disposing ends its thread. */
export class MetaMerger implements AsyncDisposable {
  readonly #pool: WorkerPool<undefined, readonly MergePart[], MergedBytes>;

  constructor() {
    const program = programBeside(import.meta.url, "./merge-worker");
    this.#pool = new WorkerPool({ program, start: undefined, threads: 1, name: "esgz-merge" });
  }

  /** Starts the thread if layers of this size will need it, so that it is there when their metadata is. */
  foresee(blobBytes: number): void {
    if (blobBytes >= LARGE_IMAGE) this.#pool.startAll();
  }

  /**
   * Merges the metadata images of layers, the lowest first. They are verified first.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `EROFS_INVALID`, `LIMIT_EXCEEDED`, `IO_FAILED`
   */
  async merge(layers: readonly Layer[]): Promise<MergedBytes> {
    const parts = layers.map(({ metaPath, metaDigest, dataSize }) => ({ metaPath, metaDigest, dataSize }));
    const chunks = layers.reduce((sum, { chunkCount }) => sum + chunkCount, 0);
    return chunks < FEW_CHUNKS ? await mergeStoredMetas(parts) : await this.#pool.run(parts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool[Symbol.asyncDispose]();
  }
}
