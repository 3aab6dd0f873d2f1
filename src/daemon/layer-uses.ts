/**
 * Layers that requests and mounts of this server use.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { LayerFetcher } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Layer, LayerHandle, Store } from "../store/index.ts";

/** Layers that stay open until they are given back. */
export interface UsedLayers extends AsyncDisposable {
  /** Those that the store has, in the order in which they were asked for. */
  readonly layers: readonly Layer[];
  /** Gives them back without waiting until what was written to them is on the disk: see {@linkcode LayerUses.settled}. */
  letGo(): void;
}

/** Keeps layers open while somebody uses them; the last user ends what the fetcher does for a layer before it is closed. */
export class LayerUses {
  readonly #store: Store;
  readonly #fetcher: LayerFetcher;
  readonly #users = new Map<Digest, number>();
  readonly #endings = new Set<Promise<void>>();
  #chunkCount = 0;

  constructor(store: Store, fetcher: LayerFetcher) {
    this.#store = store;
    this.#fetcher = fetcher;
  }

  /** Chunks of all layers that are in use: what is known of each takes memory. */
  get chunkCount(): number {
    return this.#chunkCount;
  }

  /** Opens layers. @throws {EsgzError} `STORE_INVALID` */
  async use(digests: readonly Digest[]): Promise<UsedLayers> {
    const handles: LayerHandle[] = [];
    const close = async (): Promise<void> => {
      await Promise.allSettled(handles.splice(0).map((handle) => this.#giveBack(handle)));
    };
    try {
      for (const digest of new Set(digests)) {
        const handle = await this.#store.openLayer(digest, { tocDigest: "any" });
        if (handle === undefined) continue;
        this.#take(handle);
        handles.push(handle);
      }
    } catch (error) {
      await close();
      throw error;
    }
    const letGo = (): void => {
      // Whoever gave them back goes on first.
      const ending = setImmediate()
        .then(close)
        .finally(() => this.#endings.delete(ending));
      this.#endings.add(ending);
    };
    return { layers: handles.map(({ layer }) => layer), letGo, [Symbol.asyncDispose]: close };
  }

  /** Resolves when what was let go before is closed, or failed to: who wants its room has to wait for that. */
  async settled(): Promise<void> {
    await Promise.all(this.#endings);
  }

  #take({ layer: { digest, chunkCount } }: LayerHandle): void {
    const others = this.#users.get(digest) ?? 0;
    this.#users.set(digest, others + 1);
    if (others === 0) this.#chunkCount += chunkCount;
  }

  async #giveBack(handle: LayerHandle): Promise<void> {
    const { layer } = handle;
    const others = (this.#users.get(layer.digest) ?? 1) - 1;
    if (others > 0) this.#users.set(layer.digest, others);
    else {
      this.#users.delete(layer.digest);
      this.#chunkCount -= layer.chunkCount;
      await this.#fetcher.release(layer);
    }
    await handle.close();
  }
}
