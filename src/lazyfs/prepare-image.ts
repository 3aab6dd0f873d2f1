/**
 * From an image's source to its metadata in the store.
 *
 * ```text
 * manifest ──┬── config
 *            ├── tail of layer 0 ── compile ──┐
 *            ├── tail of layer 1 ── compile ──┼── merged metadata ── record in the store
 *            └── layer 2, not lazy: whole ────┘
 * ```
 *
 * @module
 */
import { mapConcurrent, Semaphore, SingleFlight } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import type { OverlayNamespace } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  type Image,
  type ImageSource,
  type Layer,
  openImageConfig,
  openManifestLayers,
  openPlatformManifest,
  type PlatformManifest,
} from "../image/index.ts";
import { type Digest, digestMismatch, formatPlatform, type Platform } from "../oci/index.ts";
import type { ImageRecord, Store } from "../store/index.ts";
import type { ImageObserver } from "./image-event.ts";
import { ensureMergedMeta } from "./merged-meta.ts";
import { MetaMerger } from "./meta-merger.ts";
import type { DeclinedLayer } from "./declined-layer.ts";
import { addLocation, locationOf, openLazyLayer } from "./open-lazy-layer.ts";
import type { PreparationThreads } from "./preparation-threads.ts";
import { openStoredImage, openStoredLayer } from "./open-stored-image.ts";
import {
  closeLayers,
  createPreparedImage,
  pinnedDigest,
  type PreparedImage,
  type PreparedLayer,
  recordedName,
} from "./prepared-image.ts";
import { StageThreads } from "./stage-threads.ts";
import { stageWholeLayer } from "./stage-whole-layer.ts";

/** How to prepare an image. */
export interface PrepareImageOptions extends ReadOptions {
  readonly store: Store;
  /** The platform to choose from an index. A manifest without an index is taken as it is. */
  readonly platform: Platform;
  /** The name for the store's record; a digest in it must be that of the root or of the manifest. */
  readonly name: string;
  /** `when-needed`: layers that cannot be lazy are read whole now. `never`: such an image is refused. */
  readonly whole: "when-needed" | "never";
  /** How far tables of contents are trusted; `required` by default. See `openLazyLayer()`. */
  readonly verification?: "required" | "computed" | undefined;
  /** Where overlayfs will look for the marks of layers that are made; `trusted` by default. */
  readonly overlayMarks?: OverlayNamespace | undefined;
  /** Who makes layers from their tables of contents, and merges them; default: this thread. */
  readonly threads?: PreparationThreads | undefined;
  /** Layers that are read whole at once, each in a thread of its own; default 2. */
  readonly jobs?: number | undefined;
  readonly onEvent?: ImageObserver | undefined;
}

/** More layers at once than images have; the registry client bounds its connections by itself. */
const LAYERS_AT_ONCE = 256;
const WHOLE_AT_ONCE = 2;

/**
 * Prepares an image: what the store has already costs nothing but the manifest; of lazy layers the table of contents is
 * read; others are read whole. Config and all layers are read at once, so there are two round trips behind the root, or
 * three where a table of contents is long. The image is recorded in the store under its name.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH` for a root that is not the one that the name pins; `PLATFORM_NOT_FOUND`,
 * `MANIFEST_INVALID`, `MEDIA_TYPE_UNSUPPORTED`; `NOT_SUPPORTED` for a layer that cannot be lazy where it must;
 * `NO_SPACE`, `IO_FAILED`, `STORE_INVALID`; codes of the medium.
 */
export async function prepareImage(
  source: ImageSource,
  options: PrepareImageOptions,
): Promise<PreparedImage> {
  const { store, verification, threads, onEvent, signal } = options;
  const opened = await openPlatformManifest(source, options);
  assertPinned(opened, options.name);
  const manifest = opened.descriptor.digest;
  onEvent?.({ kind: "manifest", manifest, layers: opened.manifest.layers.length });
  const stored = await openStoredImage(store, manifest, { verification, threads, signal, onEvent });
  if (stored !== undefined) return await recordAgain(stored, opened, options);
  return await new Preparation(opened, options).run();
}

function assertPinned(opened: PlatformManifest, name: string): void {
  const pinned = pinnedDigest(name);
  const root = rootOf(opened);
  if (pinned === undefined || pinned === root || pinned === opened.descriptor.digest) return;
  throw digestMismatch(`image "${name}"`, pinned, root);
}

function rootOf({ indexes, descriptor }: PlatformManifest): Digest {
  return indexes[0]?.descriptor.digest ?? descriptor.digest;
}

/** An image that the store has, perhaps under another name: notes the name that it has now. */
async function recordAgain(
  stored: PreparedImage,
  opened: PlatformManifest,
  options: PrepareImageOptions,
): Promise<PreparedImage> {
  const { store } = options;
  const name = recordedName(options.name);
  const root = rootOf(opened);
  try {
    const known = store.images().find(({ manifest }) => manifest === stored.manifest);
    if (known === undefined) throw vanished(stored.manifest);
    await keepDocuments(store, opened);
    const location = locationOf(opened.source);
    for (const { handle } of stored.layers) await addLocation(handle, location);
    const content = [...new Set([...known.content, ...indexDigests(opened)])];
    store.setImage({ ...known, name, root, platform: formatPlatform(stored.platform), content });
    return { ...stored, name, root };
  } catch (error) {
    await stored.close();
    throw error;
  }
}

function vanished(manifest: Digest): EsgzError {
  return new EsgzError("STORE_INVALID", `Cannot open image ${manifest}: expected its record, got none`);
}

/** Keeps manifest and indexes, byte for byte. */
async function keepDocuments(
  store: Store,
  { descriptor, manifestBytes, indexes }: PlatformManifest,
): Promise<void> {
  const documents = [{ descriptor, bytes: manifestBytes }, ...indexes];
  await Promise.all(documents.map(({ descriptor: { digest }, bytes }) => store.content.write(digest, bytes)));
}

function indexDigests({ indexes }: PlatformManifest): Digest[] {
  return indexes.map(({ descriptor }) => descriptor.digest);
}

/** An image that the store does not have, or not all of. */
class Preparation {
  readonly #opened: PlatformManifest;
  readonly #options: PrepareImageOptions;
  readonly #layers = new Map<Digest, PreparedLayer>();
  readonly #flights = new SingleFlight<Digest, PreparedLayer>();
  readonly #whole: Semaphore;
  readonly #stageThreads = new StageThreads();

  constructor(opened: PlatformManifest, options: PrepareImageOptions) {
    this.#opened = opened;
    this.#options = options;
    this.#whole = new Semaphore(options.jobs ?? WHOLE_AT_ONCE);
  }

  async run(): Promise<PreparedImage> {
    const stop = new AbortController();
    const { signal } = this.#options;
    const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    await using merger = new MetaMerger(this.#options.threads);
    await using _stageThreads = this.#stageThreads;
    const image = openImageConfig(this.#opened, { signal: both });
    // Whoever needs it waits for it later, and learns then that it failed.
    image.catch(() => undefined);
    const documents = this.#keepDocuments(image);
    const layers = this.#openLayers(image, both);
    try {
      const [found, prepared] = await Promise.all([image, layers, documents]);
      const digests = prepared.map(({ handle }) => handle.layer.digest);
      this.#options.onEvent?.({ kind: "layers", config: found.config, layers: digests });
      return await this.#finish(found, { layers: prepared, merger });
    } catch (error) {
      stop.abort(error);
      await Promise.allSettled([image, documents, layers]);
      await closeLayers(this.#layers.values());
      throw error;
    }
  }

  async #keepDocuments(image: Promise<Image>): Promise<void> {
    const { store } = this.#options;
    await keepDocuments(store, this.#opened);
    const { manifest, configBytes } = await image;
    await store.content.write(manifest.config.digest, configBytes);
  }

  async #openLayers(image: Promise<Image>, signal: AbortSignal): Promise<readonly PreparedLayer[]> {
    const work = async (layer: Layer, context: ReadOptions): Promise<PreparedLayer> =>
      // An image may have a layer twice.
      this.#layers.get(layer.descriptor.digest) ??
      (await this.#flights.run(layer.descriptor.digest, async () => {
        const prepared = await this.#openLayer(layer, { image, signal: context.signal });
        this.#layers.set(layer.descriptor.digest, prepared);
        return prepared;
      }));
    return await mapConcurrent(openManifestLayers(this.#opened), work, {
      concurrency: LAYERS_AT_ONCE,
      signal,
    });
  }

  async #openLayer(
    layer: Layer,
    { image, signal }: ReadOptions & { readonly image: Promise<Image> },
  ): Promise<PreparedLayer> {
    const { store, verification, overlayMarks, threads, onEvent } = this.#options;
    const { source } = this.#opened;
    const { index, descriptor } = layer;
    const diffId = async (): Promise<Digest | undefined> => (await image).layers[index]?.diffId;
    const found = await openLazyLayer(layer, {
      store,
      source,
      verification,
      overlayMarks,
      threads,
      signal,
      diffId,
    });
    const prepared: PreparedLayer =
      found.kind === "lazy"
        ? { handle: found.handle, descriptor, lazy: found.handle.layer.source.tocDigest !== undefined }
        : await this.#openWhole(layer, { declined: found, image, signal });
    onEvent?.({ kind: "layer", index, layer: descriptor.digest, lazy: prepared.lazy });
    return prepared;
  }

  async #openWhole(
    layer: Layer,
    {
      declined,
      image,
      signal,
    }: ReadOptions & { readonly declined: DeclinedLayer; readonly image: Promise<Image> },
  ): Promise<PreparedLayer> {
    const { store, whole, overlayMarks, onEvent } = this.#options;
    const { index, descriptor } = layer;
    const { reason, mismatch } = declined;
    const { digest } = descriptor;
    const known = await openStoredLayer(store, digest, undefined);
    if (known !== undefined) return { ...known, descriptor, reason };
    onEvent?.({ kind: "layer-declined", index, layer: digest, reason, mismatch });
    if (whole === "never") throw notLazy(declined, digest);
    const configured = (await image).layers[index] ?? layer;
    using _permit = await this.#whole.acquire({ signal });
    const onProgress = (bytes: number): void =>
      onEvent?.({ kind: "layer-progress", layer: digest, bytes, size: descriptor.size });
    const handle = await stageWholeLayer(configured, {
      store,
      location: locationOf(this.#opened.source),
      overlayMarks,
      onProgress,
      stageThreads: this.#stageThreads,
      signal,
    });
    return { handle, descriptor, lazy: false, reason };
  }

  async #finish(
    image: Image,
    { layers, merger }: { readonly layers: readonly PreparedLayer[]; readonly merger: MetaMerger },
  ): Promise<PreparedImage> {
    const { store, platform: wanted } = this.#options;
    const { config, configBytes, platform = wanted } = image;
    const name = recordedName(this.#options.name);
    const [root, manifest] = [rootOf(this.#opened), this.#opened.descriptor.digest];
    const known = store.images().find((record) => record.manifest === manifest)?.merged;
    const { digest, madeFrom } = await ensureMergedMeta(store, {
      merger,
      layers: layers.map(({ handle }) => handle.layer),
      known,
    });
    const record: ImageRecord = {
      name,
      root,
      manifest,
      platform: formatPlatform(platform),
      layers: layers.map(({ descriptor }) => descriptor.digest),
      tocDigests: layers.map(({ handle }) => handle.layer.source.tocDigest),
      content: [image.manifest.config.digest, ...indexDigests(this.#opened)],
      merged: { digest, madeFrom },
    };
    store.setImage(record);
    const mergedMeta = { digest, path: store.content.pathOf(digest) };
    return createPreparedImage({ name, root, manifest, platform, config, configBytes, layers, mergedMeta });
  }
}

function notLazy({ reason, cause }: DeclinedLayer, digest: Digest): EsgzError {
  return new EsgzError(
    "NOT_SUPPORTED",
    `Cannot mount layer ${digest} lazily: expected a layer that can be read in parts, but ${reason}`,
    { cause },
  );
}
