/**
 * Keeps a store within its quota.
 *
 * @module
 */
import { SingleFlight } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { LayerShelf } from "./layer-shelf.ts";
import type { LayerSize } from "./layer-size.ts";
import type { StoreObserver } from "./store-event.ts";

/** Who may be evicted, and in which order. */
export interface EvictionRules {
  /** Layers that must stay as they are. */
  readonly pinned: ReadonlySet<Digest>;
  /** Layers whose metadata should stay, since an image needs it. */
  readonly wanted: ReadonlySet<Digest>;
  /** When layers were last used; one that is not in it goes first. */
  readonly usedMs: ReadonlyMap<Digest, number>;
}

/** What a room works on. */
export interface StoreRoomOptions {
  /** The most bytes that layers may take; no bound if absent. */
  readonly quotaBytes?: number | undefined;
  readonly shelf: () => LayerShelf;
  readonly rules: () => EvictionRules;
  readonly onDropped: (layer: Digest) => void;
  readonly onEvent: StoreObserver;
}

/** After an eviction this share of the quota is free, so that not every write evicts. */
const FREE_SHARE = 0.1;

/** Counts the bytes of layers and evicts those used least recently. */
export class StoreRoom {
  readonly #options: StoreRoomOptions;
  readonly #flights = new SingleFlight<"make room", void>();
  /** Bytes of layers: measured when layers are evicted, counted between. */
  #usedBytes: number;

  constructor(options: StoreRoomOptions, usedBytes: number) {
    this.#options = options;
    this.#usedBytes = usedBytes;
  }

  /**
   * Makes room for data that is about to be written.
   *
   * @throws {EsgzError} `NO_SPACE` if the quota is used up by layers that cannot be evicted.
   */
  async admit(bytes: number): Promise<void> {
    const quota = this.#options.quotaBytes;
    if (!(await this.#makeRoom(bytes))) throw quotaReached(quota ?? 0);
    this.#usedBytes += bytes;
  }

  /** Makes room for metadata, as far as that is possible: without it nothing could be served, not even from memory. */
  async admitRecords(bytes: number): Promise<void> {
    await this.#makeRoom(bytes);
    this.#usedBytes += bytes;
  }

  /** Whether there is room. */
  async #makeRoom(bytes: number): Promise<boolean> {
    const quota = this.#options.quotaBytes;
    if (quota === undefined) return true;
    const isOver = (): boolean => this.#usedBytes + bytes > quota;
    // Twice: the first may have joined a run that made room for fewer bytes.
    for (let attempt = 0; attempt < 2 && isOver(); attempt += 1) {
      await this.#flights.run("make room", () => this.#measureAndEvict(quota, bytes));
    }
    return !isOver();
  }

  /** Evicts at least so many bytes, if that is possible; returns the bytes evicted. */
  async evict(bytes: number): Promise<number> {
    const sizes = await this.#options.shelf().sizes();
    const { pinned, wanted, usedMs } = this.#options.rules();
    const candidates = sizes
      .filter(({ digest }) => !pinned.has(digest) && !this.#options.shelf().isOpen(digest))
      .toSorted((a, b) => (usedMs.get(a.digest) ?? 0) - (usedMs.get(b.digest) ?? 0));
    let freed = 0;
    for (const size of candidates) {
      if (freed >= bytes) break;
      freed += await this.#evictLayer(size, wanted.has(size.digest));
    }
    this.#usedBytes = Math.max(0, sizes.reduce((sum, size) => sum + bytesOf(size), 0) - freed);
    return freed;
  }

  async #measureAndEvict(quota: number, bytes: number): Promise<void> {
    const sizes = await this.#options.shelf().sizes();
    this.#usedBytes = sizes.reduce((sum, size) => sum + bytesOf(size), 0);
    const wanted = this.#usedBytes + bytes;
    if (wanted > quota) await this.evict(wanted - quota * (1 - FREE_SHARE));
  }

  async #evictLayer(size: LayerSize, keepMetadata: boolean): Promise<number> {
    const shelf = this.#options.shelf();
    const { digest: layer } = size;
    if (keepMetadata && size.dataBytes === 0) return 0;
    const emptied = keepMetadata && (await shelf.empty(layer));
    if (!emptied && !(await shelf.drop(layer))) return 0;
    const bytes = emptied ? size.dataBytes : bytesOf(size);
    if (!emptied) this.#options.onDropped(layer);
    this.#options.onEvent({ kind: "layer-evicted", layer, how: emptied ? "emptied" : "dropped", bytes });
    return bytes;
  }
}

/** All bytes that a layer takes. */
export function bytesOf(size: LayerSize): number {
  return size.dataBytes + size.recordBytes;
}

function quotaReached(quota: number): EsgzError {
  return new EsgzError(
    "NO_SPACE",
    `Cannot write to store: expected layers within the quota of ${quota} bytes, got more that are in use or being brought`,
    { details: { quotaBytes: quota } },
  );
}
