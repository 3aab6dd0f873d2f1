/**
 * Copies chunks from wherever a store has them.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { ReadOptions } from "../blob/index.ts";
import { equalBytes } from "../bytes/index.ts";
import type { Digest } from "../oci/index.ts";
import { ChunkIndex } from "./chunk-index.ts";
import type { LayerHandle, LayerShelf } from "./layer-shelf.ts";
import type { Layer } from "./layer.ts";

/** What was copied. */
export interface CopyReport {
  readonly chunks: number;
  readonly bytes: number;
}

/** What to copy. */
export interface CopyOptions extends ReadOptions {
  /** The chunks to look for; default all. */
  readonly indexes?: Iterable<number>;
}

/** What a copier works on. */
export interface ChunkCopierOptions {
  readonly shelf: LayerShelf;
  /** How many chunks can be found at most. */
  readonly maxIndexedChunks: number;
  /** When layers were used: those used last are indexed first. */
  readonly usedMs: ReadonlyMap<Digest, number>;
}

/** Finds and copies chunks. Its index is built when it is first needed. */
export class ChunkCopier {
  readonly #options: ChunkCopierOptions;
  #index: Promise<ChunkIndex> | undefined;

  constructor(options: ChunkCopierOptions) {
    this.#options = options;
  }

  /** Copies chunks that a layer lacks; each is verified before it counts. @throws {EsgzError} `NO_SPACE`, `IO_FAILED` */
  async copyInto(layer: Layer, options: CopyOptions): Promise<CopyReport> {
    const index = await (this.#index ??= this.#forgetFailure(this.#buildIndex()));
    await using sources = new LayerSources(this.#options.shelf);
    let [chunks, bytes] = [0, 0];
    for (const at of options.indexes ?? Array.from({ length: layer.chunkCount }, (_, number) => number)) {
      options.signal?.throwIfAborted();
      if (layer.hasChunk(at) || !(await copyFromAny(layer, at, { index, sources }))) continue;
      chunks += 1;
      bytes += layer.chunk(at).size;
    }
    return { chunks, bytes };
  }

  /** Takes note of a layer that was made. */
  async noteLayer(digest: Digest): Promise<void> {
    const index = await this.#index?.catch(() => undefined);
    if (index !== undefined) this.#add(index, digest);
  }

  /** Takes note of a layer that is gone. */
  async noteDropped(digest: Digest): Promise<void> {
    (await this.#index?.catch(() => undefined))?.remove(digest);
  }

  /** Frees the memory of the index. */
  forget(): void {
    this.#index = undefined;
  }

  /** The next search begins anew. */
  #forgetFailure(building: Promise<ChunkIndex>): Promise<ChunkIndex> {
    building.catch(() => {
      if (this.#index === building) this.#index = undefined;
    });
    return building;
  }

  async #buildIndex(): Promise<ChunkIndex> {
    const { shelf, usedMs, maxIndexedChunks } = this.#options;
    const index = new ChunkIndex(maxIndexedChunks);
    const lastUsed = (digest: Digest): number => usedMs.get(digest) ?? 0;
    for (const digest of (await shelf.list()).toSorted((a, b) => lastUsed(b) - lastUsed(a))) {
      this.#add(index, digest);
      // A store may have a million chunks; others are served in between.
      await setImmediate();
    }
    return index;
  }

  #add(index: ChunkIndex, digest: Digest): void {
    using table = this.#options.shelf.openTable(digest);
    if (table !== undefined) index.add(digest, table);
  }
}

/** Layers that chunks are copied from, open for as long as the copying takes. */
class LayerSources implements AsyncDisposable {
  readonly #shelf: LayerShelf;
  readonly #handles = new Map<Digest, Promise<LayerHandle | undefined>>();

  constructor(shelf: LayerShelf) {
    this.#shelf = shelf;
  }

  async get(digest: Digest): Promise<Layer | undefined> {
    const opening = this.#handles.get(digest) ?? this.#shelf.open(digest).catch(() => undefined);
    this.#handles.set(digest, opening);
    return (await opening)?.layer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const opening of this.#handles.values()) await (await opening)?.close();
  }
}

async function copyFromAny(
  layer: Layer,
  at: number,
  from: { readonly index: ChunkIndex; readonly sources: LayerSources },
): Promise<boolean> {
  const { digest } = layer.chunk(at);
  for (const candidate of from.index.find(digest)) {
    if (candidate.layer === layer.digest && candidate.index === at) continue;
    const source = await from.sources.get(candidate.layer);
    if (source === undefined || candidate.index >= source.chunkCount) continue;
    if (!equalBytes(source.chunk(candidate.index).digest, digest)) continue;
    if (await layer.copyChunk(at, { layer: source, index: candidate.index })) return true;
  }
  return false;
}
