/**
 * The layers of a snapshotter: from registries, in the store, shown by the views.
 *
 * @module
 */
import { realpath, stat } from "node:fs/promises";
import { systemClock } from "../async/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { readLayerRoot } from "../lazyfs/index.ts";
import type { Digest } from "../oci/index.ts";
import type {
  RemoteLayers,
  RemoteMountOptions,
  RemotePreparation,
  RemoteRequest,
  SnapshotUsage,
} from "../snapshotter/index.ts";
import type { Layer } from "../store/index.ts";
import { foreseeImage } from "./foresee-image.ts";
import type { MountWork } from "./mount-work.ts";
import type { RemoteImage } from "./remote-image.ts";
import { RemoteImages } from "./remote-images.ts";
import type { Services } from "./services.ts";
import type { StoreWork } from "./store-work.ts";

/** Set by ctr-remote, or by the layer's annotation: how much of a layer without landmark is fetched first. */
const PREFETCH_LABEL = "containerd.io/snapshot/remote/stargz.prefetch";
const DISK_SECTOR = 512;
/** A program's first files are asked for at once, one connection each. */
const FIRST_FILES = 12;
/** More than a mount takes. */
const MOUNTED_MS = 300;
/** From the mount of a layer to the end of the call that waits for it. */
const ANSWERED_MS = 10;
/** Snapshots are removed many at a time. */
const PRUNE_DELAY_MS = 5000;

/** What a {@link SnapshotLayers} is made of. */
export interface SnapshotLayersOptions {
  readonly services: Services;
  readonly mounts: MountWork;
  readonly stored: StoreWork;
}

/** A host of remote snapshots. */
export class SnapshotLayers implements RemoteLayers, AsyncDisposable {
  readonly #options: SnapshotLayersOptions;
  readonly #services: Services;
  readonly #images: RemoteImages;
  readonly #ending = new AbortController();
  readonly #mounting = new Set<Promise<void>>();
  #pruning: NodeJS.Timeout | undefined;
  #pruned: Promise<void> = Promise.resolve();

  constructor(options: SnapshotLayersOptions) {
    this.#options = options;
    const { store, clients, preparation } = options.services;
    this.#services = options.services;
    this.#images = new RemoteImages({
      store,
      clients,
      preparation,
      onResolved: (image) => this.#prefetch(image),
    });
  }

  async prepare(request: RemoteRequest): Promise<RemotePreparation> {
    const found = await this.#images.layer(request);
    if (found.kind === "declined") return found;
    const { layer } = found.handle;
    this.#prefetchUnmarked(layer, Number(request.labels[PREFETCH_LABEL]));
    const { uid, gid } = readLayerRoot(layer.metaPath);
    return { kind: "ready", owner: { uid, gid }, tocDigest: layer.source.tocDigest };
  }

  async mount(digest: Digest, { directory, id, tocDigest }: RemoteMountOptions): Promise<void> {
    const { store, views, config } = this.#services;
    const place = await realpath(directory);
    const standing = views.mounts().find((mount) => mount.id === id);
    if (standing?.directory === place) return;
    if (standing !== undefined) await this.#unmount(id);
    await using handle = await store.openLayer(digest, { tocDigest });
    if (handle === undefined) throw notThere(digest);
    const options = { directory: place, id, background: config.background };
    const mounting = this.#options.mounts.mountLayer(handle, options);
    this.#mounting.add(mounting);
    await mounting.finally(() => this.#mounting.delete(mounting));
  }

  async unmount(directory: string): Promise<void> {
    const standing = this.#services.views.mounts().find((mount) => mount.directory === directory);
    if (standing === undefined) return;
    await this.#unmount(standing.id);
    this.#prune();
  }

  async usage(digest: Digest): Promise<SnapshotUsage> {
    await using handle = await this.#services.store.openLayer(digest, { tocDigest: "any" });
    if (handle === undefined) return { size: 0, inodes: 0 };
    const { layer } = handle;
    return { size: await diskBytesOf(layer), inodes: readLayerRoot(layer.metaPath).inodes };
  }

  /** Ends what goes on in the background. Mounts stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#pruning);
    this.#ending.abort();
    await this.#pruned;
    await this.#images[Symbol.asyncDispose]();
  }

  async #unmount(id: string): Promise<void> {
    try {
      await this.#options.mounts.unmount(id, { lazy: true });
    } catch (error) {
      if (!isEsgzError(error, "FILE_NOT_FOUND")) throw error;
    }
  }

  /** What images say is read first, as soon as it is known where it lies. */
  #prefetch(image: RemoteImage): void {
    const { config, fetcher, uses } = this.#services;
    if (!config.prefetch) return;
    this.#inBackground((signal) => this.#foresee(image, signal));
    this.#inBackground(async (signal) => {
      const layers = (await image.lazyLayers()).map(({ layer }) => layer);
      const wanted = layers.filter(({ complete, source }) => !complete && source.prefetchSize > 0);
      await using used = await uses.use(wanted.map(({ digest }) => digest));
      await Promise.all(used.layers.map((layer) => fetcher.prefetch(layer, { signal })));
    });
  }

  /** What the image's own command reads; whether a client starts that, nobody has said yet. */
  async #foresee(image: RemoteImage, signal: AbortSignal): Promise<void> {
    this.#inBackground(() => image.connectToBlobs(FIRST_FILES));
    const whole = await image.whole();
    if (whole === undefined) return;
    const { config, layers } = whole;
    // A client waits for what is being mounted, and takes a while to start anything when it has been told.
    await Promise.race([Promise.allSettled(this.#mounting), systemClock.sleep(MOUNTED_MS, { signal })]);
    await systemClock.sleep(ANSWERED_MS, { signal });
    await foreseeImage(this.#services, {
      config,
      layers: layers.map(({ layer }) => layer.digest),
      signal,
    });
  }

  #prefetchUnmarked(layer: Layer, labelled: number): void {
    const { config, fetcher, uses } = this.#services;
    const wanted =
      Number.isSafeInteger(labelled) && labelled > 0 ? labelled : config.snapshotter.prefetchBytes;
    const isMarked = layer.source.landmark !== undefined;
    if (!config.prefetch || isMarked || layer.complete || wanted <= 0) return;
    this.#inBackground(async (signal) => {
      await using used = await uses.use([layer.digest]);
      const size = Math.min(wanted, layer.dataSize);
      for (const one of used.layers)
        await fetcher.ensure(one, { offset: 0, size }, { priority: "prefetch", signal });
    });
  }

  #inBackground(work: (signal: AbortSignal) => Promise<void>): void {
    const { signal } = this.#ending;
    work(signal).catch((error: unknown) => {
      if (!signal.aborted) this.#services.log.warn({ err: error }, "cannot prefetch");
    });
  }

  /** Whoever removes snapshots wants their room. */
  #prune(): void {
    clearTimeout(this.#pruning);
    const prune = async (): Promise<void> => {
      try {
        const asked = await this.#images.forgetIdle(PRUNE_DELAY_MS);
        await this.#options.stored.pruneLayers({ signal: this.#ending.signal });
        if (asked > 0 && !this.#ending.signal.aborted) this.#prune();
      } catch (error) {
        if (!this.#ending.signal.aborted) this.#services.log.warn({ err: error }, "cannot prune the store");
      }
    };
    this.#pruning = setTimeout(() => {
      this.#pruned = this.#pruned.then(prune);
    }, PRUNE_DELAY_MS);
    this.#pruning.unref();
  }
}

/** What is allocated now. */
async function diskBytesOf({ dataPath, metaPath }: Layer): Promise<number> {
  const found = await Promise.all([stat(dataPath), stat(metaPath)]);
  return found.reduce((sum, { blocks }) => sum + blocks * DISK_SECTOR, 0);
}

function notThere(digest: Digest): EsgzError {
  return new EsgzError("STORE_INVALID", `Cannot mount layer ${digest}: expected it in the store, got none`);
}
