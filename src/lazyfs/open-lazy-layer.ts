/**
 * A layer of an image, as the store has it or from its table of contents.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import type { OverlayNamespace } from "../erofs/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type ImageSource, type Layer, readLayerArchive } from "../image/index.ts";
import { ANNOTATIONS, type Digest, isDigest } from "../oci/index.ts";
import type { LayerHandle, LayerLocation, LayerSource, Store } from "../store/index.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import type { LayerAhead } from "./layer-ahead.ts";
import { type MadeLayer, makeLayer } from "./make-layer.ts";
import type { PreparationThreads } from "./preparation-threads.ts";

/** How to open a layer. */
export interface OpenLazyLayerOptions extends ReadOptions {
  readonly store: Store;
  /** Where the layer's image is; its repository is where the layer's bytes will be fetched. */
  readonly source: Pick<ImageSource, "repository">;
  /**
   * `required` (default): only a table of contents that the manifest proves. `computed`: also one that nothing contradicts
   * and nothing proves.
   */
  readonly verification?: "required" | "computed" | undefined;
  /** Where overlayfs will look for the marks of layers that are made; `trusted` by default. */
  readonly overlayMarks?: OverlayNamespace | undefined;
  /** The digest of the layer's tar, where it becomes known only later than the layer; else that of the layer holds. */
  readonly diffId?: (() => Promise<Digest | undefined>) | undefined;
  /** Who makes the layer from its table of contents; default: this thread. */
  readonly threads?: Pick<PreparationThreads, "makeLayer"> | undefined;
  /** What was done before the descriptor was known. */
  readonly ahead?: LayerAhead | undefined;
  /** Runs what makes the layer of its table of contents and puts it into the store, in this layer's turn; default: at once. */
  readonly inTurn?: (<T>(make: () => Promise<T>) => Promise<T>) | undefined;
}

/** A layer that is in the store; the caller closes the handle. */
export interface OpenedLazyLayer {
  readonly kind: "lazy";
  readonly handle: LayerHandle;
}

/** What {@linkcode openLazyLayer} found. */
export type LazyLayer = OpenedLazyLayer | DeclinedLayer;

/**
 * Opens a layer that the store has from the same table of contents, without the network; else reads the blob's tail once
 * and makes the layer, of which no byte is there yet. An ordinary layer is no error.
 *
 * A layer that is made is not waited for to be durable: a power loss costs it, and nothing else.
 *
 * @throws {EsgzError} codes of the medium; `ALREADY_EXISTS` while somebody uses a layer of this digest from another table
 * of contents; `NO_SPACE`, `IO_FAILED`
 */
export async function openLazyLayer(layer: Layer, options: OpenLazyLayerOptions): Promise<LazyLayer> {
  const location = locationOf(options.source);
  const known = await openKnownLayer(layer, options);
  if (known !== undefined) {
    await addLocation(known, location);
    return { kind: "lazy", handle: known };
  }
  if (location === undefined) return decline("its image is not in a registry");
  const { verification, overlayMarks, threads = { makeLayer }, signal, inTurn = (work) => work() } = options;
  const keep = async (made: MadeLayer | DeclinedLayer): Promise<LazyLayer> =>
    made.kind === "declined" ? made : await createLazyLayer(layer, { ...options, made, location });
  // Told or not, what the manifest says of it decides.
  const ahead = layer.compression === "uncompressed" ? undefined : options.ahead;
  const keepEarly = async (): Promise<LazyLayer | undefined> => {
    const made = await ahead?.made;
    const isMeant = made?.kind === "declined" || made?.tocDigest === statedTocDigest(layer);
    return made !== undefined && isMeant ? await keep(made) : undefined;
  };
  const early = ahead?.made === undefined ? undefined : await inTurn(keepEarly);
  if (early !== undefined) return early;
  const found = await readLayerArchive(layer, { verification, signal, ahead: ahead?.raw });
  if (found.kind === "opaque") return { ...found, kind: "declined" };
  const material = { descriptor: layer.descriptor, raw: found.raw, verification, overlayMarks };
  return await inTurn(async () => await keep(await threads.makeLayer(material)));
}

/** The repository of a source, as a store remembers it. */
export function locationOf({ repository }: Pick<ImageSource, "repository">): LayerLocation | undefined {
  if (repository === undefined) return undefined;
  return { registry: repository.registry, repository: repository.repository };
}

/** The TOC digest that a layer's manifest vouches for, as far as an annotation alone tells it. */
export function statedTocDigest(layer: Pick<Layer, "descriptor">): Digest | undefined {
  const text = layer.descriptor.annotations?.[ANNOTATIONS.tocDigest];
  return isDigest(text) ? text : undefined;
}

/**
 * Opens a layer that is there and fit for what is asked; one that is damaged is none.
 *
 * @throws {EsgzError} `IO_FAILED`
 */
export async function openSoundLayer(
  store: Store,
  digest: Digest,
  tocDigest: Digest | "any" | undefined,
): Promise<LayerHandle | undefined> {
  try {
    return await store.openLayer(digest, { tocDigest });
  } catch (error) {
    if (isEsgzError(error, "STORE_INVALID")) return undefined;
    throw error;
  }
}

async function openKnownLayer(
  layer: Layer,
  { store }: OpenLazyLayerOptions,
): Promise<LayerHandle | undefined> {
  const tocDigest = statedTocDigest(layer);
  if (tocDigest === undefined) return undefined;
  const handle = await openSoundLayer(store, layer.descriptor.digest, tocDigest);
  if (handle === undefined || isUsable(handle)) return handle;
  await handle.close();
  return undefined;
}

/** A layer that was streamed whole cannot be completed chunk by chunk. */
function isUsable({ layer }: LayerHandle): boolean {
  return layer.source.tocDigest !== undefined || layer.complete;
}

async function createLazyLayer(
  layer: Layer,
  options: OpenLazyLayerOptions & { readonly made: MadeLayer; readonly location: LayerLocation },
): Promise<LazyLayer> {
  const { made, location, store } = options;
  const { mediaType, digest, size } = layer.descriptor;
  const diffId = options.diffId === undefined ? layer.diffId : await options.diffId();
  const source: LayerSource = {
    mediaType,
    blobSize: size,
    compression: made.compression,
    tocDigest: made.tocDigest,
    ...(diffId === undefined ? {} : { diffId }),
    ...(made.landmark === undefined ? {} : { landmark: made.landmark }),
    prefetchSize: made.prefetchSize,
    locations: [location],
    blobVerified: false,
  };
  const { meta, table, summary } = made;
  const handle = await store.createLayer(
    digest,
    { meta, source, chunks: { table, summary } },
    { durable: false },
  );
  await addLocation(handle, location);
  return { kind: "lazy", handle };
}

/** Remembers one more repository that has the layer, as the first to ask. */
export async function addLocation(
  { layer }: LayerHandle,
  location: LayerLocation | undefined,
): Promise<void> {
  if (location === undefined) return;
  const { locations } = layer.source;
  const isSame = (known: LayerLocation): boolean =>
    known.registry === location.registry && known.repository === location.repository;
  if (locations.some(isSame)) return;
  try {
    const kept = [location, ...locations].slice(0, MAX_LOCATIONS);
    await layer.updateSource({ ...layer.source, locations: kept });
  } catch (error) {
    // The layer is as good as before; only where else it can be had is not known.
    if (!isEsgzError(error)) throw error;
  }
}

/** More repositories than anybody will ask. */
const MAX_LOCATIONS = 16;

function decline(reason: string): DeclinedLayer {
  return { kind: "declined", reason, mismatch: false };
}
