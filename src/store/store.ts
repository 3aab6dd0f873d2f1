/**
 * A layer store that is open.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { ReverifyReport } from "./chunk-checks.ts";
import type { ChunkCopier, CopyOptions, CopyReport } from "./chunk-copier.ts";
import type { ContentStore } from "./content-store.ts";
import type { NewLayer } from "./create-layer.ts";
import type { LayerContext } from "./layer-files.ts";
import type { LayerHandle, LayerShelf, LayerSize } from "./layer-shelf.ts";
import { agrees } from "./layer-source.ts";
import { LayerStage } from "./layer-stage.ts";
import type { Layer } from "./layer.ts";
import type { ImageRecord, Lease, MergedMeta, MetadataDatabase, StoredImage } from "./metadata-database.ts";
import type { StoreLayout } from "./store-layout.ts";
import type { StoreLock } from "./store-lock.ts";
import type { StoreRoom } from "./store-room.ts";

/** What a store takes on the disk. */
export interface StoreUsage {
  readonly layers: readonly LayerUsage[];
  /** Bytes of manifests, configs and other small blobs. */
  readonly contentBytes: number;
}

/** A layer in a {@link StoreUsage}. */
export interface LayerUsage extends LayerSize {
  /** When it was last opened, milliseconds since 1970; 0 if that is not known. */
  readonly usedMs: number;
  /** Whether an image has it. */
  readonly named: boolean;
  /** Whether a lease or somebody in this process holds it. */
  readonly pinned: boolean;
}

/** What {@link Store.prune} took away. */
export interface PruneReport {
  readonly layers: readonly Digest[];
  readonly content: readonly Digest[];
  /** Bytes of both. */
  readonly bytes: number;
}

/** What {@link Store.reverify} found. */
export interface StoreReverifyReport extends ReverifyReport {
  /** Layers that cannot be opened, and have to be made again. */
  readonly damaged: readonly Digest[];
}

/** The parts that a store is made of; see `openStore()`. */
export interface StoreParts {
  readonly layout: StoreLayout;
  readonly lock: StoreLock;
  readonly database: MetadataDatabase;
  readonly shelf: LayerShelf;
  readonly content: ContentStore;
  readonly room: StoreRoom;
  readonly context: LayerContext;
  readonly clock: Clock;
  readonly copier: ChunkCopier;
  readonly used: Map<Digest, number>;
}

/** A store that this process has open. Closing it ends the session cleanly: what is there is believed next time. */
export class Store implements AsyncDisposable {
  /** The directory. */
  readonly root: string;
  /** Manifests, configs and other small blobs. */
  readonly content: ContentStore;
  readonly #parts: StoreParts;
  #closed: Promise<void> | undefined;

  /** For `openStore()`. */
  constructor(parts: StoreParts) {
    this.root = parts.layout.root;
    this.content = parts.content;
    this.#parts = parts;
  }

  /**
   * Makes a layer, or opens the one that is there from the same TOC. One that is damaged, or from another TOC, is
   * replaced. It appears completely or not at all.
   *
   * @param layer with the chunks of a source that was verified: their digests are what this store trusts.
   * @param options.durable waits until the disk has it; default true. Without, a power loss before the first checkpoint
   * may cost the layer, and nothing else: that saves some syncs where every millisecond counts.
   * @throws {EsgzError} `STORE_INVALID` for chunks out of bounds or order; `ALREADY_EXISTS` while somebody, or a lease,
   * holds a layer with this digest from another TOC; `NO_SPACE`, `IO_FAILED`
   */
  async createLayer(
    digest: Digest,
    layer: NewLayer,
    options: { readonly durable?: boolean } = {},
  ): Promise<LayerHandle> {
    this.#assertOpen();
    const handle = await this.#parts.shelf.create(digest, layer, { durable: options.durable ?? true });
    this.#noteUse(digest);
    await this.#parts.copier.noteLayer(digest);
    return handle;
  }

  /**
   * Opens a layer; undefined if there is none that may be used for what is asked.
   *
   * @param options.tocDigest the TOC that the caller trusts, from the image's manifest; absent for a layer without one.
   * A layer that was made from another TOC is not given, unless it was made from the whole, verified blob. `any` takes
   * what is there: for those who have a lease on it, and for maintenance.
   * @throws {EsgzError} `STORE_INVALID` if its metadata, table or source is damaged: `createLayer()` replaces it then.
   */
  async openLayer(
    digest: Digest,
    options: { readonly tocDigest?: Digest | "any" | undefined } = {},
  ): Promise<LayerHandle | undefined> {
    this.#assertOpen();
    const { tocDigest } = options;
    const handle = await this.#parts.shelf.open(digest);
    if (handle !== undefined && tocDigest !== "any" && !agrees(handle.layer.source, { tocDigest })) {
      await handle.close();
      return undefined;
    }
    if (handle !== undefined) this.#noteUse(digest);
    return handle;
  }

  /**
   * Begins a layer whose bytes come before its metadata: one that is streamed whole.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async stageLayer(digest: Digest): Promise<LayerStage> {
    this.#assertOpen();
    const { layout, context, shelf } = this.#parts;
    return await LayerStage.begin({
      ...context,
      directory: layout.nextTemporary(),
      publish: async (directory, source) => {
        await shelf.publish(directory, { digest, source });
        this.#noteUse(digest);
        await this.#parts.copier.noteLayer(digest);
      },
    });
  }

  /** The layers that are there. @throws {EsgzError} `IO_FAILED` */
  async layers(): Promise<readonly Digest[]> {
    return await this.#parts.shelf.list();
  }

  /**
   * Copies chunks that a layer lacks from wherever the store has them. What was not copied is to be fetched.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async copyKnownChunks(layer: Layer, options: CopyOptions = {}): Promise<CopyReport> {
    this.#assertOpen();
    return await this.#parts.copier.copyInto(layer, options);
  }

  /** Frees the memory of the index that {@link Store.copyKnownChunks} builds. */
  dropChunkIndex(): void {
    this.#parts.copier.forget();
  }

  /**
   * Verifies, in all layers, the chunks that may be there: for the background, after an unclean end. Chunks are verified
   * on first use in any case.
   *
   * @throws {EsgzError} `IO_FAILED`, `NO_SPACE`
   */
  async reverify(options: ReadOptions = {}): Promise<StoreReverifyReport> {
    let [kept, dropped] = [0, 0];
    const damaged: Digest[] = [];
    for (const digest of await this.layers()) {
      options.signal?.throwIfAborted();
      try {
        await using handle = await this.#parts.shelf.open(digest);
        const report = await handle?.layer.reverify(options);
        kept += report?.kept ?? 0;
        dropped += report?.dropped ?? 0;
      } catch (error) {
        if (!isEsgzError(error, "STORE_INVALID")) throw error;
        damaged.push(digest);
      }
    }
    return { kept, dropped, damaged };
  }

  /** Notes what a reference names now. Its layers need not be there yet. @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  setImage(image: ImageRecord): void {
    this.#assertOpen();
    this.#parts.database.setImage(image, { nowMs: this.#parts.clock.wallMs() });
  }

  /**
   * Notes that the merged metadata of an image was made again; without effect for a manifest that no image has.
   *
   * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
   */
  setMergedMeta(manifest: Digest, merged: MergedMeta): void {
    this.#assertOpen();
    this.#parts.database.setMergedMeta(manifest, merged);
  }

  /** All references, by name and platform. @throws {EsgzError} `STORE_INVALID` */
  images(): readonly StoredImage[] {
    return this.#parts.database.images();
  }

  /**
   * Forgets a reference, for one platform or for all; false if there was none. The layers stay until {@link Store.prune}
   * or an eviction.
   *
   * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
   */
  remove(name: string, options: { readonly platform?: string | undefined } = {}): boolean {
    return this.#parts.database.removeReference(name, options);
  }

  /**
   * Keeps layers from eviction and pruning, also over restarts.
   *
   * @param options.durable false for what a power loss ends anyway, such as a mount: it saves the wait for the disk.
   * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
   */
  setLease(lease: Lease, options: { readonly durable?: boolean } = {}): void {
    this.#assertOpen();
    const { durable = true } = options;
    this.#parts.database.setLease(lease, { nowMs: this.#parts.clock.wallMs(), durable });
  }

  /** Ends a lease; false if there was none. @param options as {@linkcode setLease} @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  removeLease(id: string, options: { readonly durable?: boolean } = {}): boolean {
    return this.#parts.database.removeLease(id, { durable: options.durable ?? true });
  }

  /** All leases that have not expired, by id. @throws {EsgzError} `STORE_INVALID` */
  leases(): readonly Lease[] {
    const now = this.#parts.clock.wallMs();
    return this.#parts.database
      .leases()
      .filter(({ expiresMs }) => expiresMs === undefined || expiresMs > now);
  }

  /** What the store takes on the disk. @throws {EsgzError} `STORE_INVALID`, `IO_FAILED` */
  async usage(): Promise<StoreUsage> {
    const { database, shelf, used } = this.#parts;
    const [named, leased] = [database.imageLayers(), database.leasedLayers()];
    const content = await this.content.list();
    const layers = (await shelf.sizes()).map((size) => ({
      ...size,
      usedMs: used.get(size.digest) ?? 0,
      named: named.has(size.digest),
      pinned: leased.has(size.digest) || shelf.isOpen(size.digest),
    }));
    return { layers, contentBytes: content.reduce((sum, { size }) => sum + size, 0) };
  }

  /**
   * Takes away what nothing needs: images without a reference, layers and small blobs without an image. What a lease or
   * somebody in this process holds stays.
   *
   * @param options.keepImages manifests of images to keep although nothing refers to them, such as those that are mounted.
   * @param options.keepContent small blobs to keep, such as those of a pull under way.
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`
   */
  async prune(
    options: {
      readonly keepContent?: ReadonlySet<Digest>;
      readonly keepImages?: ReadonlySet<Digest>;
    } = {},
  ): Promise<PruneReport> {
    this.#assertOpen();
    const { database, shelf, clock } = this.#parts;
    database.expireLeases(clock.wallMs());
    database.removeUnnamedImages({ but: options.keepImages });
    const { layers: all } = await this.usage();
    const dropped: LayerUsage[] = [];
    for (const layer of all) {
      if (layer.named || layer.pinned || !(await shelf.drop(layer.digest))) continue;
      await this.#forget(layer.digest);
      dropped.push(layer);
    }
    const wanted = database.imageContent();
    const isNeeded = (digest: Digest): boolean =>
      wanted.has(digest) || options.keepContent?.has(digest) === true;
    const content = (await this.content.list()).filter(({ digest }) => !isNeeded(digest));
    for (const { digest } of content) await this.content.delete(digest);
    return {
      layers: dropped.map(({ digest }) => digest),
      content: content.map(({ digest }) => digest),
      bytes:
        dropped.reduce((sum, layer) => sum + layer.dataBytes + layer.recordBytes, 0) +
        content.reduce((sum, { size }) => sum + size, 0),
    };
  }

  /**
   * Gives up layers that nothing pins, the least recently used first: the data only where an image has the layer.
   *
   * @returns the bytes that were freed, which may be fewer or more than asked for.
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`
   */
  async evict(bytes: number): Promise<number> {
    this.#assertOpen();
    return await this.#parts.room.evict(bytes);
  }

  /**
   * Makes what was written before the call durable. To be called now and then: what a crash costs is what was written
   * since.
   *
   * @throws {EsgzError} `NO_SPACE`, `IO_FAILED`
   */
  async checkpoint(): Promise<void> {
    this.#assertOpen();
    this.#parts.database.setUsed(this.#parts.used);
    await this.#parts.shelf.checkpoint();
  }

  /** Ends the session, whoever still has layers open. Further calls wait for the first. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    const { shelf, database, lock, used } = this.#parts;
    using _lock = lock;
    using _database = database;
    await shelf.close();
    database.setUsed(used);
  }

  #noteUse(digest: Digest): void {
    this.#parts.used.set(digest, this.#parts.clock.wallMs());
  }

  async #forget(digest: Digest): Promise<void> {
    this.#parts.used.delete(digest);
    this.#parts.database.forgetUsed(digest);
    await this.#parts.copier.noteDropped(digest);
  }

  #assertOpen(): void {
    if (this.#closed === undefined) return;
    throw new EsgzError(
      "STORE_INVALID",
      `Cannot use store "${this.root}": expected an open one, got a closed one`,
    );
  }
}
