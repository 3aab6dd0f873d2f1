/**
 * An image of one platform: manifest, config and layers.
 *
 * @module
 */
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  type Descriptor,
  type Digest,
  type ImageConfig,
  type ImageManifest,
  isIndexMediaType,
  type LayerCompression,
  layerCompressionOf,
  type ManifestContent,
  parseImageConfig,
  parseIndex,
  parseManifest,
  type Platform,
  selectPlatform,
} from "../oci/index.ts";
import { readChecked } from "./checked-manifest.ts";
import { ExternalTocs } from "./external-tocs.ts";
import type { ImageSource } from "./image-source.ts";

/** One layer of an image. */
export interface Layer {
  /** Its place in the image, the base layer is 0. */
  readonly index: number;
  readonly descriptor: Descriptor;
  /** The digest of the uncompressed tar, where the config tells it. */
  readonly diffId?: Digest | undefined;
  /** What the media type states; the bytes may say otherwise. */
  readonly compression: LayerCompression;
  readonly blob: BlobSource;
  /** Where the image keeps tables of contents that lie outside its layers; shared by all layers of the image. */
  readonly externalTocs?: ExternalTocs | undefined;
}

/** An image of one platform. */
export interface Image {
  /** Where it was opened from; it stays the caller's. */
  readonly source: ImageSource;
  /** Of the manifest; with the platform where an index was asked. */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Uint8Array;
  readonly config: ImageConfig;
  readonly configBytes: Uint8Array;
  /** Base layer first. */
  readonly layers: readonly Layer[];
  /** What the index or, without one, the config says. */
  readonly platform?: Platform | undefined;
}

/** How to open an image. */
export interface OpenPlatformOptions extends ReadOptions {
  /** The platform to choose from an index. A manifest without an index is taken as it is. */
  readonly platform: Platform;
}

/** Indexes inside indexes: one level is usual. */
const MAX_INDEX_DEPTH = 4;

/** The manifest of a platform, and what led to it. */
export interface PlatformManifest {
  /** Where it was read from; it stays the caller's. */
  readonly source: ImageSource;
  /** Of the manifest; with the platform where an index was asked. */
  readonly descriptor: Descriptor;
  readonly manifest: ImageManifest;
  readonly manifestBytes: Uint8Array;
  /** The indexes on the way, the root first; none where the root is the manifest itself. */
  readonly indexes: readonly ManifestContent[];
}

/**
 * Opens the image of a platform: root, platform's manifest, config. Layers are not read.
 *
 * @throws {EsgzError} `PLATFORM_NOT_FOUND`; `MANIFEST_INVALID`; `MEDIA_TYPE_UNSUPPORTED` for an artifact that is no
 * image; codes of the medium.
 */
export async function openImage(source: ImageSource, options: OpenPlatformOptions): Promise<Image> {
  return await openImageConfig(await openPlatformManifest(source, options), options);
}

/**
 * Reads the root and the platform's manifest, and nothing else: for those who read config and layers at once after it.
 *
 * @throws {EsgzError} `PLATFORM_NOT_FOUND`; `MANIFEST_INVALID`; codes of the medium.
 */
export async function openPlatformManifest(
  source: ImageSource,
  options: OpenPlatformOptions,
): Promise<PlatformManifest> {
  const indexes: ManifestContent[] = [];
  let content = await source.fetchRoot(options);
  while (isIndexMediaType(content.descriptor.mediaType)) {
    if (indexes.length >= MAX_INDEX_DEPTH) {
      throw new EsgzError(
        "MANIFEST_INVALID",
        `Cannot open image "${source.name}": expected at most ${MAX_INDEX_DEPTH} indexes inside each other`,
      );
    }
    indexes.push(content);
    const entry = selectPlatform(parseIndex(content.bytes).manifests ?? [], options.platform);
    content = await source.fetchManifest(entry, options);
  }
  const { descriptor, bytes } = content;
  return { source, descriptor, manifest: parseManifest(bytes), manifestBytes: bytes, indexes };
}

/**
 * Reads the config of a manifest, which makes it an image.
 *
 * @throws {EsgzError} `MANIFEST_INVALID`; `MEDIA_TYPE_UNSUPPORTED` for an artifact that is no image; codes of the medium.
 */
export async function openImageConfig(opened: PlatformManifest, options: ReadOptions = {}): Promise<Image> {
  const { source, descriptor, manifest, manifestBytes } = opened;
  const configBytes = await readChecked(source.openBlob(manifest.config), manifest.config, {
    signal: options.signal,
    what: "image config",
  });
  const config = readConfig(configBytes, source.name);
  const platform = descriptor.platform ?? platformOf(config);
  const layers = withDiffIds(openManifestLayers(opened), { config, name: source.name });
  return { source, descriptor, manifest, manifestBytes, config, configBytes, layers, platform };
}

/**
 * The layers of a manifest, without the diff ids that its config tells. No I/O.
 *
 * @throws {EsgzError} `MEDIA_TYPE_UNSUPPORTED` for what is no layer.
 */
export function openManifestLayers(opened: Pick<PlatformManifest, "source" | "manifest">): readonly Layer[] {
  const { source, manifest } = opened;
  const externalTocs = new ExternalTocs(source);
  return manifest.layers.map((descriptor, index) => {
    const compression = layerCompressionOf(descriptor.mediaType);
    if (compression === undefined) {
      throw new EsgzError(
        "MEDIA_TYPE_UNSUPPORTED",
        `Cannot open image "${source.name}": expected layers, got "${descriptor.mediaType}"`,
      );
    }
    return { index, descriptor, compression, blob: source.openBlob(descriptor), externalTocs };
  });
}

function readConfig(bytes: Uint8Array, name: string): ImageConfig {
  try {
    return parseImageConfig(bytes);
  } catch (cause) {
    throw new EsgzError(
      "MEDIA_TYPE_UNSUPPORTED",
      `Cannot open image "${name}": expected an image, got an artifact or a broken config`,
      { cause },
    );
  }
}

function withDiffIds(
  layers: readonly Layer[],
  { config, name }: { readonly config: ImageConfig; readonly name: string },
): readonly Layer[] {
  const diffIds = config.rootfs.diff_ids ?? [];
  if (diffIds.length !== layers.length) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      `Cannot open image "${name}": expected ${diffIds.length} layers as its config lists, got ${layers.length}`,
    );
  }
  return layers.map((layer, index) => ({ ...layer, diffId: diffIds[index] }));
}

function platformOf({ os, architecture, variant }: ImageConfig): Platform | undefined {
  if (os === undefined || architecture === undefined) return undefined;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}
