/**
 * Layers that are kept open because something shows them.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { Layer, LayerHandle, Store } from "../store/index.ts";
import { layerNode } from "./layer-node.ts";
import type { RangeFetcher } from "./range-fetcher.ts";
import { ReadCounters } from "./read-counters.ts";
import type { MarkMessage, ServedLayerStart } from "./served-layer.ts";

/** A layer that something holds. */
export interface HeldLayer {
  readonly layer: Layer;
  readonly node: number;
  readonly counters: ReadCounters;
  /** For workers that serve it. */
  readonly start: ServedLayerStart;
}

interface Holding extends HeldLayer {
  readonly handle: LayerHandle;
  holders: number;
}

/** Counts who holds which layer; the last one closes it. */
export class HeldLayers {
  readonly #store: Store;
  readonly #fetcher: RangeFetcher;
  readonly #holdings = new Map<Digest, Holding>();
  readonly #opening = new Map<Digest, Promise<Holding>>();

  constructor(store: Store, fetcher: RangeFetcher) {
    this.#store = store;
    this.#fetcher = fetcher;
  }

  /**
   * Holds a layer. Whoever asks has a lease on it.
   *
   * @throws {EsgzError} `STORE_INVALID` if it is damaged or gone; `INTERNAL` if its node is another layer's.
   */
  async hold(digest: Digest): Promise<HeldLayer> {
    // Counted before anything waits, so that nobody closes it meanwhile.
    const known = this.#holdings.get(digest);
    if (known !== undefined) {
      known.holders += 1;
      return known;
    }
    let opening = this.#opening.get(digest);
    if (opening === undefined) {
      opening = this.#open(digest).finally(() => this.#opening.delete(digest));
      this.#opening.set(digest, opening);
    }
    await opening;
    // Somebody else may have held it since, and let go of it.
    return await this.hold(digest);
  }

  /** Lets go of a layer once. */
  async release(digest: Digest): Promise<void> {
    const holding = this.#holdings.get(digest);
    if (holding === undefined) return;
    holding.holders -= 1;
    if (holding.holders > 0) return;
    this.#holdings.delete(digest);
    await holding.handle.close();
  }

  /** A layer that somebody holds. */
  get(digest: Digest): HeldLayer | undefined {
    return this.#holdings.get(digest);
  }

  /** Hands on what a worker noticed. */
  noteMark({ node, block }: MarkMessage): void {
    const holding = this.withNode(node);
    if (holding !== undefined) this.#fetcher.noteHit(holding.layer, block * 4096);
  }

  /** The held layer that a FUSE node stands for. */
  withNode(node: number): HeldLayer | undefined {
    for (const holding of this.#holdings.values()) if (holding.node === node) return holding;
    return undefined;
  }

  async #open(digest: Digest): Promise<Holding> {
    const handle = await this.#store.openLayer(digest, { tocDigest: "any" });
    if (handle === undefined) {
      throw new EsgzError(
        "STORE_INVALID",
        `Cannot show layer "${digest}": expected it in the store, got none`,
      );
    }
    const { layer } = handle;
    const node = layerNode(digest);
    const other = this.withNode(node);
    if (other !== undefined) {
      await handle.close();
      const text = `Cannot show layer "${digest}": expected a node of its own, got that of "${other.layer.digest}"`;
      throw new EsgzError("INTERNAL", text);
    }
    const counters = new ReadCounters();
    const start: ServedLayerStart = {
      node,
      digest,
      dataPath: layer.dataPath,
      dataSize: layer.dataSize,
      readyBlocks: layer.readyBlocks.bytes,
      marks: this.#fetcher.marksOf(layer),
      early: this.#fetcher.earlyBlocksOf(layer),
      counters: counters.memory,
    };
    const holding = { layer, node, counters, start, handle, holders: 0 };
    this.#holdings.set(digest, holding);
    return holding;
  }
}
