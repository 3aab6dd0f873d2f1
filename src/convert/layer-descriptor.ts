/**
 * Descriptors of converted layers.
 *
 * @module
 */
import type { ZstdDialect } from "../estargz/index.ts";
import {
  ANNOTATIONS,
  type AnnotationMap,
  type Descriptor,
  type Digest,
  layerCompressionOf,
  layerMediaType,
  type MediaTypeFamily,
  type LayerCompression,
} from "../oci/index.ts";

/** Everything that a layer's descriptor may say about the inside of its blob, in either dialect. */
const CONTENT_ANNOTATIONS: ReadonlySet<string> = new Set([
  ANNOTATIONS.tocDigest,
  ANNOTATIONS.uncompressedSize,
  ANNOTATIONS.tocPlaces,
  ANNOTATIONS.zstdChecksumStargz,
  ANNOTATIONS.zstdPositionStargz,
  ANNOTATIONS.zstdChecksum,
  ANNOTATIONS.zstdPosition,
  ANNOTATIONS.zstdTarSplitPosition,
  // Written by containers/storage 1.47 to 1.53 only.
  "io.github.containers.zstd-chunked.tarsplit-checksum",
]);

/**
 * What a layer's descriptor says about its blob beyond digest and size: how to read it, where, and what proves it. Where tables of
 * contents lie is not that: of other layers each image says something else.
 */
export function blobFactsOf({ mediaType, annotations, urls }: Descriptor): readonly unknown[] {
  const facts = Object.entries(annotations ?? {}).filter(
    ([key]) => CONTENT_ANNOTATIONS.has(key) && key !== ANNOTATIONS.tocPlaces,
  );
  return [mediaType, urls, facts];
}

/** Whose zstd:chunked a layer is, as far as its annotations go. */
export function zstdDialectOf({ annotations }: Descriptor): ZstdDialect {
  return annotations?.[ANNOTATIONS.zstdChecksum] === undefined ? "stargz" : "containers";
}

/** The blob that a layer was written to. */
export interface WrittenLayer {
  readonly digest: Digest;
  readonly size: number;
  readonly compression: LayerCompression;
  /** What the writer wants said about the blob. */
  readonly annotations: AnnotationMap;
}

/**
 * The descriptor of a layer that was written anew: annotations about the old blob go, all others and unknown fields
 * stay.
 */
export function convertedDescriptor(
  old: Descriptor,
  written: WrittenLayer,
  { family }: { readonly family: MediaTypeFamily },
): Descriptor {
  const { data: _embedded, annotations, ...rest } = old;
  const kept = Object.entries(annotations ?? {}).filter(([key]) => !CONTENT_ANNOTATIONS.has(key));
  const all = Object.fromEntries([...kept, ...Object.entries(written.annotations)]);
  return {
    ...rest,
    mediaType: layerMediaType(family, written.compression),
    digest: written.digest,
    size: written.size,
    ...(Object.keys(all).length === 0 ? {} : { annotations: all }),
  };
}

/** The descriptor of a layer that keeps its bytes: only the family of its media type may change. */
export function passedDescriptor(
  old: Descriptor,
  { family }: { readonly family: MediaTypeFamily },
): Descriptor {
  const mediaType = mediaTypeInFamily(old.mediaType, family);
  return mediaType === old.mediaType ? old : { ...old, mediaType };
}

const FOREIGN_TYPES: readonly (readonly [oci: string, docker: string])[] = [
  [
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
  ],
  [
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
  ],
];

function mediaTypeInFamily(mediaType: string, family: MediaTypeFamily): string {
  const foreign = FOREIGN_TYPES.find((pair) => pair.includes(mediaType));
  if (foreign !== undefined) return family === "oci" ? foreign[0] : foreign[1];
  const compression = layerCompressionOf(mediaType);
  if (compression === undefined || mediaType.includes(".nondistributable.")) return mediaType;
  return layerMediaType(family, compression);
}
