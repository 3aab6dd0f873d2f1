/**
 * Manifests, configs and indexes with some parts replaced and all else kept.
 *
 * What does not change keeps its bytes, and so its digest. What changes is written anew from the parsed JSON: every
 * field stays, known or not, in its order.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  type Descriptor,
  type Digest,
  type ImageIndex,
  type ImageManifest,
  isManifestMediaType,
  MEDIA_TYPES,
  type MediaTypeFamily,
  parseImageConfig,
} from "../oci/index.ts";

/** Content to be stored under a media type. */
export interface RewrittenContent {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** On an index entry of BuildKit's attestations: the digest of the image that they are about. */
export const ATTESTED_DIGEST = "vnd.docker.reference.digest";

/** The family that a manifest's or index's media type belongs to. */
export function familyOf(mediaType: string): MediaTypeFamily {
  return mediaType.startsWith("application/vnd.docker.") ? "docker" : "oci";
}

/**
 * A config with other diff ids. The bytes stay as they are when the diff ids do.
 *
 * @throws {EsgzError} `MANIFEST_INVALID` for bytes that are no image config.
 */
export function rewriteConfig(bytes: Uint8Array, diffIds: readonly Digest[]): Uint8Array {
  const old = parseImageConfig(bytes).rootfs.diff_ids ?? [];
  if (old.length === diffIds.length && old.every((diffId, index) => diffId === diffIds[index])) return bytes;
  // Parsed a second time, without the schema: that keeps the order of keys.
  const text = decodeUtf8(bytes);
  const config = asObject(JSON.parse(text));
  const rootfs = { ...asObject(config["rootfs"]), diff_ids: diffIds };
  return encodeJson({ ...config, rootfs }, text);
}

/** A manifest with other layers and another config, and with its media type in another family. */
export function rewriteManifest(
  bytes: Uint8Array,
  parts: {
    readonly config: Descriptor;
    readonly layers: readonly Descriptor[];
    readonly family: MediaTypeFamily;
  },
): RewrittenContent {
  const text = decodeUtf8(bytes);
  const old = asObject(JSON.parse(text)) as unknown as ImageManifest;
  const mediaType = parts.family === "oci" ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.dockerManifest;
  const config = withMediaType(
    parts.config,
    parts.family === "oci" ? MEDIA_TYPES.ociConfig : MEDIA_TYPES.dockerConfig,
  );
  const stated = old.mediaType === undefined && parts.family === "oci" ? mediaType : old.mediaType;
  const same = stated === mediaType && sameJson(config, old.config) && sameJson(parts.layers, old.layers);
  if (same) return { bytes, mediaType };
  const { schemaVersion, mediaType: _old, ...rest } = old;
  return {
    bytes: encodeJson({ schemaVersion, mediaType, ...rest, config, layers: parts.layers }, text),
    mediaType,
  };
}

/** An index with other entries, and with its media type in another family. */
export function rewriteIndex(
  bytes: Uint8Array,
  parts: { readonly manifests: readonly Descriptor[]; readonly family: MediaTypeFamily },
): RewrittenContent {
  const text = decodeUtf8(bytes);
  const old = asObject(JSON.parse(text)) as unknown as ImageIndex;
  const mediaType = parts.family === "oci" ? MEDIA_TYPES.ociIndex : MEDIA_TYPES.dockerIndex;
  const stated = old.mediaType === undefined && parts.family === "oci" ? mediaType : old.mediaType;
  if (stated === mediaType && sameJson(parts.manifests, old.manifests)) return { bytes, mediaType };
  const { schemaVersion, mediaType: _old, ...rest } = old;
  return {
    bytes: encodeJson({ schemaVersion, mediaType, ...rest, manifests: parts.manifests }, text),
    mediaType,
  };
}

/**
 * The entry of an index for a manifest that was rewritten: its own fields (platform, annotations) stay. The size and
 * digest are those of the new content.
 */
export function replacedEntry(entry: Descriptor, content: Descriptor): Descriptor {
  if (entry.digest === content.digest) return entry;
  const { data: _embedded, ...rest } = entry;
  return { ...rest, mediaType: content.mediaType, digest: content.digest, size: content.size };
}

/** An index entry whose annotation about an attested image follows that image to its new digest. */
export function retargetedEntry(entry: Descriptor, digests: ReadonlyMap<string, Digest>): Descriptor {
  const target = digests.get(entry.annotations?.[ATTESTED_DIGEST] ?? "");
  if (target === undefined) return entry;
  return { ...entry, annotations: { ...entry.annotations, [ATTESTED_DIGEST]: target } };
}

/** Whether a manifest is that of a container image, and not of a chart, a module or another artifact. */
export function isContainerImage(manifest: ImageManifest): boolean {
  const { mediaType } = manifest.config;
  return mediaType === MEDIA_TYPES.ociConfig || mediaType === MEDIA_TYPES.dockerConfig;
}

/** Whether an index entry is an image of some platform, as opposed to an attestation, an artifact or another index. */
export function isPlatformImage(entry: Descriptor): boolean {
  if (!isManifestMediaType(entry.mediaType) || entry.artifactType !== undefined) return false;
  if (entry.annotations?.["vnd.docker.reference.type"] !== undefined) return false;
  return entry.platform === undefined || entry.platform.os !== "unknown";
}

function withMediaType(descriptor: Descriptor, mediaType: string): Descriptor {
  return descriptor.mediaType === mediaType ? descriptor : { ...descriptor, mediaType };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return { ...value };
  throw new EsgzError("MANIFEST_INVALID", "Cannot rewrite manifest: expected a JSON object");
}

/** JSON in the manner of the old text: on one line, or indented. */
function encodeJson(value: object, old: string): Uint8Array {
  const indentation = /^\s*\{\r?\n([ \t]+)"/.exec(old)?.[1];
  return encodeUtf8(JSON.stringify(value, undefined, indentation));
}

/** Whether two JSON values are the same, whatever the order of their keys. */
function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every(
    (key) =>
      Object.hasOwn(b, key) &&
      sameJson((a as Record<string, unknown>)[key], (b as Record<string, unknown>)[key]),
  );
}
