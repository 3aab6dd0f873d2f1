/**
 * Converting the image of one platform.
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  type Descriptor,
  type Digest,
  formatPlatform,
  type ImageConfig,
  type ImageManifest,
  layerCompressionOf,
  type ManifestContent,
  type MediaTypeFamily,
  type Platform,
  parseImageConfig,
  parseManifest,
} from "../oci/index.ts";
import { readConfig } from "./read-config.ts";
import { type Conversion, LAYERS_AT_ONCE, MAX_BYTES_IN_FLIGHT } from "./conversion.ts";
import {
  convertLayer,
  type ConvertedLayer,
  type ConvertLayerOptions,
  type IdentifiedLayer,
} from "./convert-layer.ts";
import type { ImageConversion } from "./convert-report.ts";
import { familyOf, isContainerImage, rewriteConfig, rewriteManifest } from "./image-rewrite.ts";
import { withPlacesAbove } from "./layer-places.ts";
import { passBlob } from "./pass-blob.ts";
import { passManifest } from "./pass-manifest.ts";

/** What converting a manifest takes. */
export interface ConvertManifestOptions {
  readonly conversion: Conversion;
  /** What the index says about the image, where there is one. */
  readonly platform?: Platform | undefined;
  readonly signal: AbortSignal;
}

/** A manifest at the destination. */
export interface ConvertedManifest {
  readonly descriptor: Descriptor;
  readonly report: ImageConversion;
  /** What the config or the index says that the image runs on. */
  readonly platform?: Platform | undefined;
}

/** Converts an image, or passes through what is none. */
export async function convertManifest(
  content: ManifestContent,
  options: ConvertManifestOptions,
): Promise<ConvertedManifest> {
  const manifest = parseManifest(content.bytes);
  const reason = reasonToPass(manifest);
  if (reason !== undefined) return await passThrough(content, { ...options, reason });
  const { conversion, signal } = options;
  const configBytes = await readConfig(conversion.source, manifest.config, { signal });
  const config = parseImageConfig(configBytes);
  const platform = options.platform ?? platformOf(config);
  const platformText = platform === undefined ? undefined : formatPlatform(platform);
  const family = conversion.settings.mediaTypes ?? familyOf(content.descriptor.mediaType);
  const layers = await convertLayers(identifyLayers(manifest, { config, conversion }), {
    conversion,
    platform: platformText,
    family,
    signal,
  });
  const descriptor = await writeImage(content, { manifest, configBytes, layers, family, conversion, signal });
  const report: ImageConversion = {
    action: "converted",
    reason: summaryOf(layers),
    platform: platformText,
    oldDigest: content.descriptor.digest,
    newDigest: descriptor.digest,
    layers: layers.map((layer) => layer.report),
  };
  return { descriptor, report, platform };
}

async function convertLayers(
  layers: readonly IdentifiedLayer[],
  options: Omit<ConvertLayerOptions, "maxBytesInFlight">,
): Promise<readonly ConvertedLayer[]> {
  const concurrency = Math.max(1, Math.min(LAYERS_AT_ONCE, layers.length));
  const maxBytesInFlight = Math.floor(MAX_BYTES_IN_FLIGHT / concurrency);
  return await mapConcurrent(
    layers,
    (layer, { signal }) => convertLayer(layer, { ...options, maxBytesInFlight, signal }),
    { concurrency, signal: options.signal },
  );
}

interface NewImage {
  readonly manifest: ImageManifest;
  readonly configBytes: Uint8Array;
  readonly layers: readonly ConvertedLayer[];
  readonly family: MediaTypeFamily;
  readonly conversion: Conversion;
  readonly signal: AbortSignal;
}

async function writeImage(content: ManifestContent, image: NewImage): Promise<Descriptor> {
  const { layers, family, conversion, signal } = image;
  const diffIds = layers.map(({ diffId }) => diffId);
  const config = await writeConfig(rewriteConfig(image.configBytes, diffIds), image);
  const stated = layers.map(({ descriptor }) => descriptor);
  // An image of which all layers are passed on keeps its digest.
  const isSame = stated.every((descriptor, at) => descriptor === image.manifest.layers[at]);
  const descriptors = isSame ? stated : withPlacesAbove(stated);
  const rewritten = rewriteManifest(content.bytes, { config, layers: descriptors, family });
  return await conversion.destination.writeManifest(rewritten, { signal });
}

async function writeConfig(
  bytes: Uint8Array,
  { manifest, configBytes, conversion, signal }: NewImage,
): Promise<Descriptor> {
  const { source, destination } = conversion;
  if (equalBytes(bytes, configBytes)) {
    await passBlob(manifest.config, { source, destination, signal });
    return manifest.config;
  }
  const { data: _embedded, ...rest } = manifest.config;
  return { ...rest, ...(await destination.writeBlob(bytes, { signal })) };
}

/** Why a manifest is no image to convert, or undefined if it is one. */
function reasonToPass(manifest: ImageManifest): string | undefined {
  if (!isContainerImage(manifest)) return `not a container image: its config is ${manifest.config.mediaType}`;
  const { layers } = manifest;
  const [first] = layers;
  if (first === undefined || layers.some(({ mediaType }) => layerCompressionOf(mediaType) !== undefined)) {
    return undefined;
  }
  return `not a container image: its layers are ${first.mediaType}`;
}

async function passThrough(
  content: ManifestContent,
  { conversion, platform, signal, reason }: ConvertManifestOptions & { readonly reason: string },
): Promise<ConvertedManifest> {
  const descriptor = await passManifest(content, { conversion, signal });
  const { digest } = content.descriptor;
  const platformText = platform === undefined ? undefined : formatPlatform(platform);
  return {
    descriptor,
    platform,
    report: {
      action: "passed-through",
      reason,
      platform: platformText,
      oldDigest: digest,
      newDigest: digest,
      layers: [],
    },
  };
}

/** @throws {EsgzError} `MANIFEST_INVALID` if the config does not name one diff id per layer. */
function identifyLayers(
  { layers }: ImageManifest,
  { config, conversion }: { readonly config: ImageConfig; readonly conversion: Conversion },
): IdentifiedLayer[] {
  const diffIds: readonly (Digest | undefined)[] = config.rootfs.diff_ids ?? [];
  return layers.map((descriptor, index) => {
    const diffId = diffIds[index];
    if (diffId === undefined || diffIds.length !== layers.length) {
      throw new EsgzError(
        "MANIFEST_INVALID",
        `Cannot convert image: expected ${layers.length} diff ids for its layers, got ${diffIds.length}`,
      );
    }
    const compression = layerCompressionOf(descriptor.mediaType) ?? "uncompressed";
    return { index, descriptor, diffId, compression, blob: conversion.source.openBlob(descriptor) };
  });
}

function platformOf({ os, architecture, variant }: ImageConfig): Platform | undefined {
  if (os === undefined || os === "" || architecture === undefined || architecture === "") return undefined;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

function summaryOf(layers: readonly ConvertedLayer[]): string {
  const converted = layers.filter(({ report }) => report.oldDigest !== report.newDigest).length;
  return `${converted} of ${layers.length} layers are new`;
}
