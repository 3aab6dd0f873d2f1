/**
 * An image whose layers a snapshotter asks for one by one: resolved once, all layers at once.
 *
 * ```text
 * reference, digests ── manifest ──┬── tail of layer 0 ── in the store
 *                                  ├── tail of layer 1 ── in the store
 *                                  └── layer 2 cannot be read in parts: small ── whole ── in the store
 *                                                                       large ── declined, with the reason
 * ```
 *
 * Where a client told where tables of contents lie, tails are read while the manifest is on its way: see `LayersAhead`.
 *
 * A tag may have been moved or deleted since the client pulled. A layer that its manifest does not have any more is opened by
 * its digest alone, where the client tells the table of contents: it has that from the manifest that it pulled.
 *
 * @module
 */
import { Semaphore, systemClock } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import { isEsgzError, messageOf } from "../errors/index.ts";
import {
  type ImageSource,
  type Layer as ImageLayer,
  openImageConfig,
  openManifestLayers,
  type PlatformManifest,
} from "../image/index.ts";
import {
  type DeclinedLayer,
  LayersAhead,
  type LazyLayer,
  openLazyLayer,
  locationOf,
  type PreparationThreads,
  stageWholeLayer,
  type ToldLayers,
} from "../lazyfs/index.ts";
import { ANNOTATIONS, type Digest, type ImageConfig, MEDIA_TYPES, type Platform } from "../oci/index.ts";
import type { LayerHandle, Store } from "../store/index.ts";
import { type InTurn, LayerTurns } from "./layer-turns.ts";
import { openManifestWith } from "./open-manifest-with.ts";

/** A layer that is in the store, or why it is not. */
export type RemoteLayer =
  | { readonly kind: "ready"; readonly handle: LayerHandle; readonly lazy: boolean }
  | { readonly kind: "declined"; readonly reason: string };

/** How to resolve an image. */
export interface RemoteImageOptions extends ReadOptions {
  readonly store: Store;
  /** Who makes layers from their tables of contents; default: this thread. */
  readonly threads?: PreparationThreads | undefined;
  readonly source: ImageSource;
  /** Where an index does not have the layer that is asked for. */
  readonly platform: Platform;
  /** The layer that is asked for first tells which image of an index is meant. */
  readonly asked: ToldLayers;
  readonly verification: "required" | "computed";
  /** Layers can be opened without a manifest, if there is none. */
  readonly manifestIsOptional?: boolean | undefined;
}

/** A layer without a manifest. */
export interface OtherLayer {
  readonly digest: Digest;
  /** Of its table of contents: the client has it from a manifest that it has checked. */
  readonly tocDigest: Digest;
}

/** Layers that cannot be read in parts are stored whole up to this size, where others of their image can be lazy. */
const WHOLE_MAX_BYTES = 2 << 20;
const WHOLE_AT_ONCE = 2;
/**
 * Made all at once, the first layer would be ready when the last one is; its client asks for one after the other. What is made
 * is held until the store has it.
 */
const MADE_AT_ONCE = 2;

/** Of a layer that the manifest does not have. */
const NO_INDEX = -1;

/** The layers of one image. Closing gives them back. */
export class RemoteImage implements AsyncDisposable {
  readonly #opened: PlatformManifest | undefined;
  readonly #options: RemoteImageOptions;
  /** What was read or made while the manifest was on its way; kept where there is none. */
  readonly #ahead: LayersAhead | undefined;
  readonly #layers = new Map<Digest, Promise<RemoteLayer>>();
  readonly #whole = new Semaphore(WHOLE_AT_ONCE);
  readonly #turns: LayerTurns;
  #hasOthers = false;

  private constructor(
    options: RemoteImageOptions,
    {
      opened,
      ahead,
    }: { readonly opened?: PlatformManifest | undefined; readonly ahead?: LayersAhead | undefined },
  ) {
    this.#opened = opened;
    this.#options = options;
    this.#ahead = opened === undefined ? ahead : undefined;
    const stated = opened === undefined ? [] : openManifestLayers(opened);
    const layers = new Map(stated.map((layer) => [layer.descriptor.digest, layer]));
    const indexes = [...layers.values()].map(({ index }) => index);
    this.#turns = new LayerTurns({
      clock: systemClock,
      indexes,
      atOnce: MADE_AT_ONCE,
      signal: options.signal,
    });
    const tried = new Map([...layers.values()].map((layer) => [layer, this.#openLazily(layer, ahead)]));
    const anyLazy = isAny(tried.values(), (found) => found.kind === "ready" && found.lazy);
    for (const [layer, opening] of tried) {
      const result = this.#openOrDecline(layer, { opening, anyLazy });
      // It is asked for later, or never.
      result.catch(() => undefined);
      this.#layers.set(layer.descriptor.digest, result);
    }
  }

  /**
   * Reads the manifest, and begins to open all layers.
   *
   * @throws {EsgzError} `PLATFORM_NOT_FOUND`, `MANIFEST_INVALID`, `MEDIA_TYPE_UNSUPPORTED`; codes of the medium.
   */
  static async open(options: RemoteImageOptions): Promise<RemoteImage> {
    const ahead = new LayersAhead(options.asked, options);
    try {
      return new RemoteImage(options, {
        opened: await openManifestWith(options.asked.digest, options),
        ahead,
      });
    } catch (error) {
      if (options.manifestIsOptional !== true || !isEsgzError(error, "REGISTRY_NOT_FOUND")) throw error;
      return new RemoteImage(options, { ahead });
    }
  }

  /** Makes connections for reads when the first layer that lacks something has been opened: until then tables of contents travel. */
  async connectToBlobs(count: number): Promise<void> {
    const isMissing = await isAny(
      this.#layers.values(),
      (layer) => layer.kind === "ready" && !layer.handle.layer.complete,
    );
    if (isMissing) this.#options.source.repository?.connectToBlobs(count);
  }

  /** Whether layers were opened that the manifest does not have. */
  get hasOthers(): boolean {
    return this.#hasOthers;
  }

  /** Resolves with a layer; undefined if the image has none with this digest. */
  layer(digest: Digest): Promise<RemoteLayer> | undefined {
    return this.#layers.get(digest);
  }

  /** Resolves with a layer that the manifest does not have, whose table of contents is known to be right. */
  otherLayer(other: OtherLayer): Promise<RemoteLayer> {
    this.#hasOthers = true;
    const opening = this.#openOther(other).catch((error: unknown): RemoteLayer => {
      const reason = `its image has no such layer any more, and by itself: ${messageOf(error)}`;
      return { kind: "declined", reason };
    });
    this.#layers.set(other.digest, opening);
    return opening;
  }

  /**
   * Configuration and layers, the lowest first, when all have been tried; undefined if one was declined, or there is no
   * manifest.
   *
   * @throws {EsgzError} `MANIFEST_INVALID`; codes of the medium.
   */
  async whole(): Promise<
    { readonly config: ImageConfig; readonly layers: readonly LayerHandle[] } | undefined
  > {
    if (this.#opened === undefined) return undefined;
    const stated = [...this.#layers.values()];
    const { config } = await openImageConfig(this.#opened, { signal: this.#options.signal });
    const layers = await Promise.all(stated);
    const handles = layers.flatMap((layer) => (layer.kind === "ready" ? [layer.handle] : []));
    return handles.length < layers.length ? undefined : { config, layers: handles };
  }

  /** Those that are lazy, when all have been tried. */
  async lazyLayers(): Promise<readonly LayerHandle[]> {
    const settled = await Promise.allSettled(this.#layers.values());
    return settled.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value.kind === "ready" && outcome.value.lazy
        ? [outcome.value.handle]
        : [],
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const settled = await Promise.allSettled(this.#layers.values());
    const handles = settled.flatMap((outcome) =>
      outcome.status === "fulfilled" && outcome.value.kind === "ready" ? [outcome.value.handle] : [],
    );
    await Promise.allSettled(handles.map((handle) => handle.close()));
  }

  async #openOther({ digest, tocDigest }: OtherLayer): Promise<RemoteLayer> {
    const { source, signal } = this.#options;
    const { repository } = source;
    if (repository === undefined) return { kind: "declined", reason: "its image is not in a registry" };
    const size = await repository.fetchBlobSize(digest, { signal });
    const mediaType = MEDIA_TYPES.ociLayerGzip;
    const descriptor = { mediaType, digest, size, annotations: { [ANNOTATIONS.tocDigest]: tocDigest } };
    const blob = repository.openBlob({ digest, size });
    const found = await this.#openLazily(
      { index: NO_INDEX, descriptor, compression: "gzip", blob },
      this.#ahead,
    );
    return "mismatch" in found ? { kind: "declined", reason: found.reason } : found;
  }

  async #openLazily(
    layer: ImageLayer,
    layersAhead: LayersAhead | undefined,
  ): Promise<RemoteLayer | DeclinedLayer> {
    const { store, threads, source, verification, signal, asked } = this.#options;
    const ahead = layersAhead?.of(layer.descriptor);
    const open = (inTurn: InTurn): Promise<LazyLayer> =>
      openLazyLayer(layer, { store, threads, source, verification, signal, ahead, inTurn });
    const isAsked = layer.descriptor.digest === asked.digest;
    const found = await (isAsked
      ? this.#turns.openAsked(layer.index, open)
      : this.#turns.open(layer.index, open));
    if (found.kind === "declined") return found;
    const { handle } = found;
    return { kind: "ready", handle, lazy: handle.layer.source.tocDigest !== undefined };
  }

  async #openOrDecline(
    layer: ImageLayer,
    {
      opening,
      anyLazy,
    }: { readonly opening: Promise<RemoteLayer | DeclinedLayer>; readonly anyLazy: Promise<boolean> },
  ): Promise<RemoteLayer> {
    try {
      const found = await opening;
      if (!("mismatch" in found)) return found;
      const { reason } = found;
      if (layer.descriptor.size > WHOLE_MAX_BYTES || !(await anyLazy)) return { kind: "declined", reason };
      return await this.#openWhole(layer);
    } catch (error) {
      return { kind: "declined", reason: messageOf(error) };
    }
  }

  async #openWhole(layer: ImageLayer): Promise<RemoteLayer> {
    const { store, source, signal } = this.#options;
    const { digest } = layer.descriptor;
    using _permit = await this.#whole.acquire({ signal });
    const known = await store.openLayer(digest);
    if (known?.layer.complete === true) return { kind: "ready", handle: known, lazy: false };
    await known?.close();
    const handle = await stageWholeLayer(layer, { store, location: locationOf(source), signal });
    return { kind: "ready", handle, lazy: false };
  }
}

/** Whether something is so of one of the layers; resolves as soon as that is known. What cannot be opened is left out. */
async function isAny<Found>(
  openings: Iterable<Promise<Found>>,
  isSo: (found: Found) => boolean,
): Promise<boolean> {
  const onlySo = Array.from(openings, async (opening) => {
    if (!isSo(await opening)) throw new Error("not so");
  });
  return await Promise.any(onlySo).then(
    () => true,
    () => false,
  );
}
