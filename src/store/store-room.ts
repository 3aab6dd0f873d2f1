/**
 * Keeps a store within its quota.
 *
 * @module
 */
import { SingleFlight } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { BLOCK_SIZE } from "./chunk-row.ts";
import type { LayerShelf } from "./layer-shelf.ts";
import type { LayerSize } from "./layer-size.ts";
import { type GrantKind, RoomGrants } from "./room-grants.ts";
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

/** What layers take on the disk, and what of grants had ended before that was measured. */
interface Measured {
  readonly bytes: number;
  readonly endedBytes: number;
}

/** What each takes. */
interface MeasuredLayers extends Measured {
  readonly sizes: readonly LayerSize[];
}

/** What the small files of a layer take, about. */
const SMALL_FILES_SIZE = 4 * BLOCK_SIZE;
/** After an eviction this share of the quota is free, so that not every write evicts. */
const FREE_SHARE = 0.1;
const NO_GRANT: Disposable = { [Symbol.dispose]: () => undefined };

/**
 * Counts the bytes of layers and evicts those used least recently.
 *
 * The disk says what is written, and grants what will be: both together never pass the quota, but for metadata. What is granted and
 * written already is in both, so that who finds no room waits for the grants that are about to end, and measures again.
 */
export class StoreRoom {
  readonly #options: StoreRoomOptions;
  readonly #flights = new SingleFlight<"make room", void>();
  readonly #grants = new RoomGrants();
  #measured: Measured;

  constructor(options: StoreRoomOptions, usedBytes: number) {
    this.#options = options;
    this.#measured = { bytes: usedBytes, endedBytes: 0 };
  }

  /**
   * Makes room for data that is about to be written, which is disposed of when it was, or will not be.
   *
   * @throws {EsgzError} `NO_SPACE` if the quota is used up by layers that cannot be evicted.
   */
  async admit(bytes: number): Promise<Disposable> {
    return await this.#admit(bytes, "writing");
  }

  /** The same for data of a layer in the making, to be disposed of when it is one, or is given up. Nobody waits for that. */
  async admitStaged(bytes: number): Promise<Disposable> {
    return await this.#admit(bytes, "staged");
  }

  /** Makes room for metadata, as far as that is possible: without it nothing could be served, not even from memory. */
  async admitRecords(bytes: number): Promise<Disposable> {
    const whole = bytes + SMALL_FILES_SIZE;
    return (await this.#makeRoom(whole, "staged")) ?? this.#grants.take(whole, "staged");
  }

  /** Evicts at least so many bytes, if that is possible; returns the bytes evicted. */
  async evict(bytes: number): Promise<number> {
    return await this.#evictFrom(await this.#measure(), bytes);
  }

  /** What may not have been measured. */
  get #newBytes(): number {
    return this.#grants.endedBytes - this.#measured.endedBytes;
  }

  get #usedBytes(): number {
    return this.#measured.bytes + this.#newBytes + this.#grants.openBytes;
  }

  async #admit(bytes: number, kind: GrantKind): Promise<Disposable> {
    const { quotaBytes } = this.#options;
    if (quotaBytes === undefined) return NO_GRANT;
    const grant = await this.#makeRoom(bytes, kind);
    if (grant === undefined) throw quotaReached({ quotaBytes, usedBytes: this.#usedBytes, bytes });
    return grant;
  }

  /** Takes room, if there is any: at once, before anybody else looks. */
  async #makeRoom(bytes: number, kind: GrantKind): Promise<Disposable | undefined> {
    const quota = this.#options.quotaBytes ?? Infinity;
    const isOver = (): boolean => this.#usedBytes + bytes > quota;
    // At least twice: the first may have joined a run that made room for fewer bytes.
    for (let attempt = 0; isOver(); attempt += 1) {
      const { writingEnded } = this.#grants;
      await this.#flights.run("make room", () => this.#measureAndEvict(quota, bytes));
      if (!isOver()) break;
      if (this.#grants.isWriting) await writingEnded;
      else if (attempt > 0 && this.#newBytes === 0) return undefined;
    }
    return this.#grants.take(bytes, kind);
  }

  async #measureAndEvict(quota: number, bytes: number): Promise<void> {
    const found = await this.#measure();
    const wanted = this.#usedBytes + bytes;
    if (wanted > quota) await this.#evictFrom(found, wanted - quota * (1 - FREE_SHARE));
  }

  async #measure(): Promise<MeasuredLayers> {
    // What is written meanwhile may be measured, or not.
    const { endedBytes } = this.#grants;
    const sizes = await this.#options.shelf().sizes();
    this.#measured = { bytes: sizes.reduce((sum, size) => sum + bytesOf(size), 0), endedBytes };
    return { ...this.#measured, sizes };
  }

  async #evictFrom({ sizes, ...measured }: MeasuredLayers, bytes: number): Promise<number> {
    const { pinned, wanted, usedMs } = this.#options.rules();
    const candidates = sizes
      .filter(({ digest }) => !pinned.has(digest) && !this.#options.shelf().isOpen(digest))
      .toSorted((a, b) => (usedMs.get(a.digest) ?? 0) - (usedMs.get(b.digest) ?? 0));
    let freed = 0;
    for (const size of candidates) {
      if (freed >= bytes) break;
      freed += await this.#evictLayer(size, wanted.has(size.digest));
    }
    // Others may have measured meanwhile: what went is to be taken from what was there before.
    this.#measured = { ...measured, bytes: measured.bytes - freed };
    return freed;
  }

  async #evictLayer(size: LayerSize, keepMetadata: boolean): Promise<number> {
    const { digest: layer } = size;
    if (keepMetadata && size.dataBytes === 0) return 0;
    const how = await this.#options.shelf().evict(layer, { keepMetadata });
    if (how === undefined) return 0;
    const bytes = how === "emptied" ? size.dataBytes : bytesOf(size);
    if (how === "dropped") this.#options.onDropped(layer);
    this.#options.onEvent({ kind: "layer-evicted", layer, how, bytes });
    return bytes;
  }
}

/** All bytes that a layer takes. */
export function bytesOf(size: LayerSize): number {
  return size.dataBytes + size.recordBytes;
}

function quotaReached(room: {
  readonly quotaBytes: number;
  readonly usedBytes: number;
  readonly bytes: number;
}): EsgzError {
  const { quotaBytes, usedBytes, bytes } = room;
  return new EsgzError(
    "NO_SPACE",
    `Cannot write ${bytes} bytes to store: expected layers within the quota of ${quotaBytes} bytes, got ${usedBytes} bytes that are in use or being brought`,
    { details: { quotaBytes, usedBytes } },
  );
}
