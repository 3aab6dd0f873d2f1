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

/** Bytes of layers, when they were measured, and how many had been written until then. */
interface Measured {
  readonly bytes: number;
  readonly writtenBytes: number;
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
  #measured: Measured;
  /** Bytes that were written since the store was opened. */
  #writtenBytes = 0;
  /** Bytes that are being written now, and by how many. */
  readonly #writing = { bytes: 0, count: 0 };
  /** Bytes of layers in the making, which are not measured. */
  #stagedBytes = 0;
  #ended = Promise.withResolvers<void>();

  constructor(options: StoreRoomOptions, usedBytes: number) {
    this.#options = options;
    this.#measured = { bytes: usedBytes, writtenBytes: 0 };
  }

  /**
   * Makes room for data that is about to be written, which is disposed of when it was, or will not be.
   *
   * @throws {EsgzError} `NO_SPACE` if the quota is used up by layers that cannot be evicted.
   */
  async admit(bytes: number): Promise<Disposable> {
    if (this.#options.quotaBytes === undefined) return NO_GRANT;
    await this.#takeRoom(bytes, () => {
      this.#writing.bytes += bytes;
      this.#writing.count += 1;
    });
    return onceDisposed(() => {
      this.#writing.bytes -= bytes;
      this.#writing.count -= 1;
      this.#writtenBytes += bytes;
      this.#ended.resolve();
      this.#ended = Promise.withResolvers();
    });
  }

  /** The same for data of a layer in the making, to be disposed of when it is one, or is given up. Nobody waits for that. */
  async admitStaged(bytes: number): Promise<Disposable> {
    if (this.#options.quotaBytes === undefined) return NO_GRANT;
    await this.#takeRoom(bytes, () => {
      this.#stagedBytes += bytes;
    });
    return this.#staged(bytes);
  }

  /** Makes room for metadata, as far as that is possible: without it nothing could be served, not even from memory. */
  async admitRecords(bytes: number): Promise<Disposable> {
    const whole = bytes + SMALL_FILES_SIZE;
    const take = (): void => {
      this.#stagedBytes += whole;
    };
    if (!(await this.#makeRoom(whole, take))) take();
    return this.#staged(whole);
  }

  /** What may not have been measured. */
  get #newBytes(): number {
    return this.#writtenBytes - this.#measured.writtenBytes;
  }

  get #usedBytes(): number {
    return this.#measured.bytes + this.#newBytes + this.#writing.bytes + this.#stagedBytes;
  }

  #staged(bytes: number): Disposable {
    return onceDisposed(() => {
      this.#stagedBytes -= bytes;
      this.#writtenBytes += bytes;
    });
  }

  async #takeRoom(bytes: number, take: () => void): Promise<void> {
    if (!(await this.#makeRoom(bytes, take)))
      throw quotaReached({ quotaBytes: this.#options.quotaBytes ?? 0, usedBytes: this.#usedBytes, bytes });
  }

  /** Whether there is room; it is taken at once, before anybody else looks. */
  async #makeRoom(bytes: number, take: () => void): Promise<boolean> {
    const quota = this.#options.quotaBytes ?? Infinity;
    const isOver = (): boolean => this.#usedBytes + bytes > quota;
    // At least twice: the first may have joined a run that made room for fewer bytes.
    for (let attempt = 0; isOver(); attempt += 1) {
      const ended = this.#ended.promise;
      await this.#flights.run("make room", () => this.#measureAndEvict(quota, bytes));
      if (!isOver()) break;
      if (this.#writing.count > 0) await ended;
      else if (attempt > 0 && this.#newBytes === 0) return false;
    }
    take();
    return true;
  }

  /** Evicts at least so many bytes, if that is possible; returns the bytes evicted. */
  async evict(bytes: number): Promise<number> {
    const { sizes, ...measured } = await this.#measure();
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

  async #measureAndEvict(quota: number, bytes: number): Promise<void> {
    await this.#measure();
    const wanted = this.#usedBytes + bytes;
    if (wanted > quota) await this.evict(wanted - quota * (1 - FREE_SHARE));
  }

  async #measure(): Promise<Measured & { readonly sizes: readonly LayerSize[] }> {
    // What is written meanwhile may be measured, or not.
    const writtenBytes = this.#writtenBytes;
    const sizes = await this.#options.shelf().sizes();
    this.#measured = { bytes: sizes.reduce((sum, size) => sum + bytesOf(size), 0), writtenBytes };
    return { ...this.#measured, sizes };
  }

  async #evictLayer(size: LayerSize, keepMetadata: boolean): Promise<number> {
    const shelf = this.#options.shelf();
    const { digest: layer } = size;
    if (shelf.isBusy(layer)) return 0;
    if (keepMetadata && size.dataBytes === 0) return 0;
    const emptied = keepMetadata && (await shelf.empty(layer));
    if (!emptied && (shelf.isBusy(layer) || !(await shelf.drop(layer)))) return 0;
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

function onceDisposed(end: () => void): Disposable {
  let isEnded = false;
  return {
    [Symbol.dispose]: () => {
      if (!isEnded) end();
      isEnded = true;
    },
  };
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
