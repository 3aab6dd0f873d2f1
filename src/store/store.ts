/**
 * A layer store that is open.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import type { CopyOptions, CopyReport } from "./chunk-copier.ts";
import type { ContentStore } from "./content-store.ts";
import type { AnyNewLayer } from "./create-layer.ts";
import type { LayerHandle } from "./layer-shelf.ts";
import { agrees } from "./layer-source.ts";
import { LayerStage } from "./layer-stage.ts";
import type { Layer } from "./layer.ts";
import type { ImageRecord, Lease, MergedMeta, StoredImage } from "./metadata-database.ts";
import type { StoreParts } from "./store-parts.ts";
import {
  type PruneOptions,
  type PruneReport,
  pruneStore,
  readStoreUsage,
  reverifyLayers,
  type StoreReverifyReport,
  type StoreUsage,
} from "./store-upkeep.ts";

/** Pages of the database's log. */
const ROOM_FOR_NOTES = 1 << 20;

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
   * replaced; while a lease holds it, only by what it was. It appears completely or not at all.
   *
   * @param layer with the chunks of a source that was verified: their digests are what this store trusts.
   * @param options.durable waits until the disk has it; default true. Without, a power loss before the first checkpoint
   * may cost the layer, and nothing else: that saves some syncs where every millisecond counts.
   * @throws {EsgzError} `STORE_INVALID` for chunks out of bounds or order; `ALREADY_EXISTS` while somebody, or a lease,
   * holds a layer with this digest from another TOC; `NO_SPACE`, `IO_FAILED`
   */
  async createLayer(
    digest: Digest,
    layer: AnyNewLayer,
    options: { readonly durable?: boolean } = {},
  ): Promise<LayerHandle> {
    this.#assertOpen();
    const { durable = true } = options;
    const handle = await this.#parts.reserve.use(() => this.#parts.shelf.create(digest, layer, { durable }));
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
      limits: context.limits,
      nextTemporary: context.nextTemporary,
      admit: context.admitStaged,
      admitRecords: context.admitRecords,
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
    return await reverifyLayers(this.#parts.shelf, options);
  }

  /** Notes what a reference names now. Its layers need not be there yet. @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  setImage(image: ImageRecord): void {
    this.#assertOpen();
    const { database, reserve, clock } = this.#parts;
    reserve.useSync(() => database.setImage(image, { nowMs: clock.wallMs() }));
  }

  /**
   * Notes that the merged metadata of an image was made again; without effect for a manifest that no image has.
   *
   * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
   */
  setMergedMeta(manifest: Digest, merged: MergedMeta): void {
    this.#assertOpen();
    const { database, reserve } = this.#parts;
    reserve.useSync(() => database.setMergedMeta(manifest, merged));
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
    const { database, reserve } = this.#parts;
    return reserve.useSync(() => database.removeReference(name, options));
  }

  /**
   * Keeps layers from eviction and pruning, also over restarts; those that are open now stay what they are, too: if one is
   * lost, only one from the same source takes its place.
   *
   * @param options.durable false for what a power loss ends anyway, such as a mount: it saves the wait for the disk.
   * @throws {EsgzError} `STORE_INVALID`, `NO_SPACE`
   */
  setLease(lease: Lease, options: { readonly durable?: boolean } = {}): void {
    this.#assertOpen();
    const { durable = true } = options;
    const { database, reserve, clock, shelf } = this.#parts;
    const identities = shelf.identitiesOf(lease.layers);
    reserve.useSync(() => database.setLease(lease, { nowMs: clock.wallMs(), durable, identities }));
  }

  /** Ends a lease; false if there was none. @param options as {@linkcode setLease} @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  removeLease(id: string, options: { readonly durable?: boolean } = {}): boolean {
    const { database, reserve } = this.#parts;
    return reserve.useSync(() => database.removeLease(id, { durable: options.durable ?? true }));
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
    return await readStoreUsage(this.#parts);
  }

  /**
   * Takes away what nothing needs: images without a reference, layers and small blobs without an image. What a lease or
   * somebody in this process holds stays.
   *
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`
   */
  async prune(options: PruneOptions = {}): Promise<PruneReport> {
    this.#assertOpen();
    return await this.withRoom(async () => await pruneStore(this.#parts, options));
  }

  /**
   * Does what takes something away, which has to be noted first: where there is no room even for a note, once more without
   * data of what was used least recently.
   *
   * @param work may be done twice.
   * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`; what `work` throws.
   */
  async withRoom<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!isEsgzError(error, "NO_SPACE") || (await this.evict(ROOM_FOR_NOTES)) === 0) throw error;
      return await work();
    }
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
    this.#parts.reserve.restore();
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

  #assertOpen(): void {
    if (this.#closed === undefined) return;
    throw new EsgzError(
      "STORE_INVALID",
      `Cannot use store "${this.root}": expected an open one, got a closed one`,
    );
  }
}
