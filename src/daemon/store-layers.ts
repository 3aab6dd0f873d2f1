/**
 * The layers of additional layer stores: from registries, in the store, shown by the views.
 *
 * @module
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { KeyLocks, systemClock } from "../async/index.ts";
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { type LayerStoreHost, openSoundLayer, type StoreLayer } from "../lazyfs/index.ts";
import { type Digest, hexOf } from "../oci/index.ts";
import type { LayerHandle } from "../store/index.ts";
import { BlobWindows } from "./blob-windows.ts";
import type { MountWork } from "./mount-work.ts";
import { NamedImages } from "./named-images.ts";
import type { RemoteImage } from "./remote-image.ts";
import { RemoteImages } from "./remote-images.ts";
import type { Services } from "./services.ts";
import { storeLayerInfo } from "./store-layer-info.ts";
import { type StoreLayerRecord, StoreLayerRecords } from "./store-layer-records.ts";
import type { StoreWork } from "./store-work.ts";

/** What it works with. */
export interface StoreLayersOptions {
  readonly services: Services;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
  /** The root of the store, without symbolic links. */
  readonly root: string;
}

type Wanted = Pick<StoreLayer, "reference" | "digest">;

/** An engine that found a layer says soon that it uses it, or never. */
const UNUSED_MS = 120_000;
/** Engines let go of one record of a layer and take up another. */
const RELEASED_MS = 3000;
/** Each of an image's layers of one digest is the same path for an engine. */
const REPEATED = "the image has it several times, and overlayfs takes no directory twice";

/** Finds layers for engines, and shows them while they are used. */
export class StoreLayers implements LayerStoreHost, AsyncDisposable {
  readonly pool: string;
  readonly #options: StoreLayersOptions;
  readonly #services: Services;
  readonly #records: StoreLayerRecords;
  readonly #named: NamedImages;
  readonly #images: RemoteImages;
  readonly #windows = new BlobWindows();
  /** By blob: one layer is shown, or taken away, at a time. */
  readonly #showing = new KeyLocks<Digest>();
  readonly #ending = new AbortController();
  /** When layers that nobody uses are to go. */
  readonly #leaving = new Map<StoreLayer, number>();
  /** When room is to be made once more. */
  #pruneAtMs = Infinity;
  /** By which table of contents mounts show their layers, as far as this server knows. */
  readonly #shown = new Map<string, StoreLayer["tocDigest"]>();
  #timer: NodeJS.Timeout | undefined;
  #tidying: Promise<void> = Promise.resolve();

  /** @throws {EsgzError} `STORE_INVALID` */
  constructor(options: StoreLayersOptions) {
    const { store, clients, preparation } = options.services;
    this.#options = options;
    this.#services = options.services;
    this.pool = join(options.root, "pool");
    this.#records = new StoreLayerRecords(store);
    this.#named = new NamedImages(clients);
    this.#images = new RemoteImages({
      store,
      clients,
      preparation,
      onResolved: (image) => this.#prefetch(image),
    });
    for (const { layer, uses } of this.#records.values()) if (uses === 0) this.#leave(layer, UNUSED_MS);
  }

  /** Makes what engines may look at. @throws what `mkdir()` throws */
  async makeDirectories(): Promise<void> {
    await mkdir(this.pool, { recursive: true, mode: 0o700 });
  }

  *layers(): Generator<StoreLayer> {
    for (const { layer } of this.#records.values()) yield layer;
  }

  /** The ids of the mounts of layers that engines have. */
  usedMounts(): ReadonlySet<string> {
    const used = [...this.#records.values()].filter(({ uses }) => uses > 0);
    return new Set(used.map(({ layer }) => mountIdOf(layer)));
  }

  async hasImage(reference: string, options: ReadOptions): Promise<boolean> {
    for (const { layer } of this.#records.values()) if (layer.reference === reference) return true;
    await this.#named.open(reference, options);
    return true;
  }

  async findLayer(wanted: Wanted, options: ReadOptions): Promise<StoreLayer | undefined> {
    const known = this.#records.get(wanted)?.layer;
    const isThere = known !== undefined && (await this.#isThere(known));
    const found = isThere ? known : await this.#resolve(wanted, options);
    if (found === undefined) return undefined;
    const { layer, uses } = this.#noteFound(found);
    if (uses === 0) this.#leave(layer, UNUSED_MS);
    return layer;
  }

  async showLayer(layer: StoreLayer, options: ReadOptions): Promise<string> {
    options.signal?.throwIfAborted();
    return await this.#showing.run([layer.blob], async () => {
      const id = mountIdOf(layer);
      const { views, config } = this.#services;
      const standing = views.mounts().find((mount) => mount.id === id);
      if (standing !== undefined && this.#shown.get(id) === layer.tocDigest) return standing.directory;
      await using handle = await this.#find(layer, options);
      const directory = join(this.#options.root, "mounts", id, "root");
      // While a mount stands its layer stays what it is: it shows this one.
      if (standing === undefined)
        await this.#options.mounts.mountLayer(handle, { id, directory, background: config.background });
      this.#shown.set(id, layer.tocDigest);
      return directory;
    });
  }

  async readBlob(layer: StoreLayer, range: ByteRange, options: ReadOptions): Promise<Uint8Array> {
    const { clients } = this.#services;
    await using handle = await this.#open(layer);
    if (handle === undefined) throw notThere(layer.blob);
    const open = async (): ReturnType<typeof clients.openBlob> => await clients.openBlob(handle.layer);
    return await this.#windows.read({ key: layer.blob, size: layer.blobSize, open }, range, options);
  }

  useLayer(layer: StoreLayer): void {
    const known = this.#records.get(layer) ?? { layer, uses: 0 };
    this.#leaving.delete(known.layer);
    this.#records.set({ ...known, uses: known.uses + 1 });
  }

  releaseLayer(layer: StoreLayer): void {
    const known = this.#records.get(layer);
    if (known === undefined || known.uses === 0) return;
    const uses = known.uses - 1;
    this.#records.set({ layer: known.layer, uses });
    if (uses === 0) this.#leave(known.layer, RELEASED_MS);
  }

  /** Ends what goes on in the background. Mounts stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    this.#ending.abort();
    await this.#tidying;
    await this.#images[Symbol.asyncDispose]();
  }

  async #isThere(layer: StoreLayer): Promise<boolean> {
    await using handle = await this.#open(layer);
    return handle !== undefined;
  }

  /** A layer as it was found, from the registry where the store has it no more. @throws {EsgzError} `STORE_INVALID` */
  async #find(layer: StoreLayer, options: ReadOptions): Promise<LayerHandle> {
    const known = await this.#open(layer);
    if (known !== undefined) return known;
    await this.#resolve(layer, options);
    const found = await this.#open(layer);
    if (found === undefined) throw notThere(layer.blob);
    return found;
  }

  /** A layer as it was found, whatever another image says of its blob; one that is damaged is none. */
  async #open({ blob, tocDigest }: StoreLayer): Promise<LayerHandle | undefined> {
    return await openSoundLayer(this.#services.store, blob, tocDigest === "whole" ? undefined : tocDigest);
  }

  /** Has a layer in the store, and all others of its image with it. */
  async #resolve(wanted: Wanted, options: ReadOptions): Promise<StoreLayer | undefined> {
    const found = await this.#named.layer(wanted, options);
    if (found === undefined) return undefined;
    if (found.isRepeated) return this.#decline(wanted, REPEATED);
    const { digest, size } = found.layer.descriptor;
    const { reference } = wanted;
    const { manifest } = found.image;
    const opened = await this.#images.layer({ reference, digest, manifest, skipVerify: false });
    if (opened.kind === "declined") return this.#decline(wanted, opened.reason);
    const { tocDigest = "whole" } = opened.handle.layer.source;
    const info = storeLayerInfo(found.layer, wanted.digest);
    return { ...wanted, blob: digest, blobSize: size, tocDigest, info };
  }

  #decline(wanted: Wanted, reason: string): undefined {
    this.#services.log.warn({ ...wanted, reason }, "a layer cannot be lazy");
  }

  /** What an engine uses stays as it was found first. */
  #noteFound(layer: StoreLayer): StoreLayerRecord {
    const known = this.#records.get(layer);
    if (known !== undefined && (known.uses > 0 || known.layer.tocDigest === layer.tocDigest)) return known;
    if (known !== undefined) this.#leaving.delete(known.layer);
    const record = { layer, uses: 0 };
    this.#records.set(record);
    return record;
  }

  #leave(layer: StoreLayer, ms: number): void {
    this.#leaving.set(layer, systemClock.nowMs() + ms);
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const atMs = Math.min(...this.#leaving.values(), this.#pruneAtMs);
    if (atMs === Infinity || this.#ending.signal.aborted) return;
    const ms = Math.max(0, atMs - systemClock.nowMs());
    this.#timer = setTimeout(() => {
      this.#tidying = this.#tidying.then(() => this.#tidy());
    }, ms);
    this.#timer.unref();
  }

  /** Lets go of layers that nobody uses, and makes room. */
  async #tidy(): Promise<void> {
    const nowMs = systemClock.nowMs();
    const due = [...this.#leaving].filter(([, atMs]) => atMs <= nowMs).map(([layer]) => layer);
    try {
      for (const layer of due) if (this.#isDue(layer, nowMs)) await this.#forget(layer);
      if (due.length > 0 || this.#pruneAtMs <= nowMs) await this.#prune();
    } catch (error) {
      if (!this.#ending.signal.aborted) this.#services.log.warn({ err: error }, "cannot tidy up");
    }
    this.#schedule();
  }

  /** Images that were asked for are kept open for a while, and what is open stays: it goes when nobody pulls any more. */
  async #prune(): Promise<void> {
    this.#pruneAtMs = Infinity;
    const isPulling = [...this.#records.values()].some(({ uses }) => uses === 0);
    const asked = isPulling ? 0 : await this.#images.forgetIdle(RELEASED_MS);
    await this.#options.stored.pruneLayers({ signal: this.#ending.signal });
    if (isPulling || asked > 0) this.#pruneAtMs = systemClock.nowMs() + (isPulling ? UNUSED_MS : RELEASED_MS);
  }

  /** Engines take up layers while others are let go of. */
  #isDue(layer: StoreLayer, nowMs: number): boolean {
    return (this.#leaving.get(layer) ?? Infinity) <= nowMs;
  }

  async #forget(layer: StoreLayer): Promise<void> {
    this.#leaving.delete(layer);
    if ((this.#records.get(layer)?.uses ?? 0) > 0) return;
    this.#records.remove(layer);
    await this.#showing
      .run([layer.blob], async () => {
        // Another image may have it, or somebody found it again.
        if (this.#records.hasBlob(layer.blob)) return;
        this.#shown.delete(mountIdOf(layer));
        await this.#options.mounts.unmount(mountIdOf(layer), { lazy: true });
      })
      .catch((error: unknown) => {
        if (!isEsgzError(error, "FILE_NOT_FOUND")) throw error;
      });
  }

  /** What images say is read first, as soon as it is known where it lies. */
  #prefetch(image: RemoteImage): void {
    const { config, fetcher, uses, log } = this.#services;
    const { signal } = this.#ending;
    if (!config.prefetch) return;
    const work = async (): Promise<void> => {
      const layers = (await image.lazyLayers()).map(({ layer }) => layer);
      const wanted = layers.filter(({ complete, source }) => !complete && source.prefetchSize > 0);
      await using used = await uses.use(wanted.map(({ digest }) => digest));
      await Promise.all(used.layers.map((layer) => fetcher.prefetch(layer, { signal })));
    };
    work().catch((error: unknown) => {
      if (!signal.aborted) log.warn({ err: error }, "cannot prefetch");
    });
  }
}

function notThere(digest: Digest): EsgzError {
  return new EsgzError("STORE_INVALID", `Cannot show layer ${digest}: expected it in the store, got none`);
}

function mountIdOf({ blob }: StoreLayer): string {
  return `layer-${hexOf(blob).slice(0, 40)}`;
}
