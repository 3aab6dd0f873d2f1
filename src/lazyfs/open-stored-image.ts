/**
 * An image from the store alone.
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import type { ReadOptions } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  type ImageConfig,
  type ImageManifest,
  isDigest,
  matchesPlatform,
  parseImageConfig,
  parseManifest,
  parsePlatform,
  type Platform,
} from "../oci/index.ts";
import type { ImageRecord, Store, StoredImage } from "../store/index.ts";
import type { ImageObserver } from "./image-event.ts";
import { ensureMergedMeta } from "./merged-meta.ts";
import { MetaMerger } from "./meta-merger.ts";
import { openSoundLayer } from "./open-lazy-layer.ts";
import type { PreparationThreads } from "./preparation-threads.ts";
import {
  closeLayers,
  createPreparedImage,
  pinnedDigest,
  type PreparedImage,
  type PreparedLayer,
  recordedName,
} from "./prepared-image.ts";

/** Their small files are read from a disk, a few at once. */
const LAYERS_AT_ONCE = 8;

/** How to look for an image. */
export interface OpenStoredImageOptions extends ReadOptions {
  /** The platform that is wanted; any if absent. An image that is in no index is taken as it is. */
  readonly platform?: Platform | undefined;
  /**
   * `required` (default): only layers whose table of contents the manifest proves, or that were read whole. `computed`: also
   * those that were once taken without proof.
   */
  readonly verification?: "required" | "computed" | undefined;
  /** Who merges metadata, where that has to be done; default: this thread, or one of its own. */
  readonly threads?: PreparationThreads | undefined;
  readonly onEvent?: ImageObserver | undefined;
}

/**
 * Opens an image that was prepared before, without the network. Of a lazy layer nothing but its metadata need be there.
 *
 * @param name a reference, or the digest of an index or manifest. A reference with a digest is found under any name that
 * the image has in this store: what it names does not depend on where it came from.
 * @returns undefined if the store has no such image, or lacks something of it.
 * @throws {EsgzError} `STORE_INVALID`, `IO_FAILED`, `NO_SPACE`
 */
export async function openStoredImage(
  store: Store,
  name: string,
  options: OpenStoredImageOptions = {},
): Promise<PreparedImage | undefined> {
  for (const record of findRecords(store, name, options.platform)) {
    options.signal?.throwIfAborted();
    const image = await openRecord(store, record, options);
    if (image !== undefined) return image;
  }
  return undefined;
}

/** Whether an image of that name was noted for a platform, whatever has become of its layers. */
export function hasStoredImage(store: Store, name: string, platform: Platform): boolean {
  return findRecords(store, name, platform).length > 0;
}

/** The records that a name may mean, the one that was set last first. */
function findRecords(store: Store, name: string, platform: Platform | undefined): StoredImage[] {
  const digest = isDigest(name) ? name : pinnedDigest(name);
  const wanted = recordedName(name);
  const isMeant = (record: StoredImage): boolean =>
    digest === undefined ? record.name === wanted : record.root === digest || record.manifest === digest;
  const fits = (record: StoredImage): boolean =>
    platform === undefined ||
    record.root === record.manifest ||
    record.manifest === digest ||
    matchesPlatform(platform, parsePlatform(record.platform));
  return store
    .images()
    .filter((record) => isMeant(record) && fits(record))
    .toSorted((a, b) => b.updatedMs - a.updatedMs);
}

interface StoredDocuments {
  readonly manifest: ImageManifest;
  readonly config: ImageConfig;
  readonly configBytes: Uint8Array;
}

/** Opens the image of a record; undefined if something of it is missing. */
async function openRecord(
  store: Store,
  record: ImageRecord,
  options: OpenStoredImageOptions,
): Promise<PreparedImage | undefined> {
  const documents = await readDocuments(store, record);
  if (documents === undefined) return undefined;
  if (options.verification !== "computed" && !areProven(documents.manifest, record)) return undefined;
  const layers = await openStoredLayers(store, { record, manifest: documents.manifest });
  if (layers === undefined) return undefined;
  try {
    const { name, root, manifest } = record;
    await using merger = new MetaMerger(options.threads);
    const merged = await ensureMergedMeta(store, {
      merger,
      layers: layers.map(({ handle }) => handle.layer),
      known: record.merged,
    });
    if (merged.made) {
      store.setMergedMeta(manifest, merged);
      options.onEvent?.({ kind: "merged", manifest });
    }
    const { config, configBytes } = documents;
    const mergedMeta = { digest: merged.digest, path: store.content.pathOf(merged.digest) };
    const platform = parsePlatform(record.platform);
    return createPreparedImage({ name, root, manifest, platform, config, configBytes, layers, mergedMeta });
  } catch (error) {
    await closeLayers(layers);
    throw error;
  }
}

async function readDocuments(store: Store, record: ImageRecord): Promise<StoredDocuments | undefined> {
  const manifestBytes = await store.content.read(record.manifest);
  if (manifestBytes === undefined) return undefined;
  const manifest = parseManifest(manifestBytes);
  const configBytes = await store.content.read(manifest.config.digest);
  if (configBytes === undefined) return undefined;
  return { manifest, config: parseImageConfig(configBytes), configBytes };
}

/** Whether the manifest vouches for each table of contents that a layer was made from. */
function areProven({ layers }: ImageManifest, { tocDigests }: ImageRecord): boolean {
  return layers.every(({ annotations }, index) => {
    const tocDigest = tocDigests?.[index];
    const stated = annotations?.[ANNOTATIONS.tocDigest];
    if (tocDigest === undefined || stated !== undefined)
      return tocDigest === undefined || stated === tocDigest;
    // A digest of the compressed table was compared when the layer was made: it is taken without proof only if there is none.
    return [ANNOTATIONS.zstdChecksum, ANNOTATIONS.zstdChecksumStargz].some(
      (name) => annotations?.[name] !== undefined,
    );
  });
}

/** Opens all layers, or none. */
async function openStoredLayers(
  store: Store,
  { record, manifest }: { readonly record: ImageRecord; readonly manifest: ImageManifest },
): Promise<PreparedLayer[] | undefined> {
  const opened: PreparedLayer[] = [];
  let isWhole = true;
  const open = async (
    descriptor: Descriptor,
    { index }: { readonly index: number },
  ): Promise<PreparedLayer[]> => {
    const layer = isWhole
      ? await openStoredLayer(store, descriptor.digest, record.tocDigests?.[index])
      : undefined;
    if (layer === undefined) {
      isWhole = false;
      return [];
    }
    const prepared = { ...layer, descriptor };
    opened.push(prepared);
    return [prepared];
  };
  try {
    const layers = await mapConcurrent(manifest.layers, open, { concurrency: LAYERS_AT_ONCE });
    if (isWhole) return layers.flat();
  } catch (error) {
    await closeLayers(opened);
    throw error;
  }
  await closeLayers(opened);
  return undefined;
}

/** Opens a layer; one that was read whole is of use only if all of it is there. */
export async function openStoredLayer(
  store: Store,
  digest: Digest,
  tocDigest: Digest | undefined,
): Promise<Pick<PreparedLayer, "handle" | "lazy"> | undefined> {
  const handle = await openSoundLayer(store, digest, tocDigest);
  if (handle === undefined) return undefined;
  const { layer } = handle;
  if (layer.source.tocDigest !== undefined) return { handle, lazy: true };
  try {
    if (!layer.complete && layer.unverifiedCount > 0) await layer.reverify();
  } catch (error) {
    await handle.close();
    if (!isEsgzError(error, "NO_SPACE")) throw error;
    return undefined;
  }
  if (layer.complete) return { handle, lazy: false };
  await handle.close();
  return undefined;
}
