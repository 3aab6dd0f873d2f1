/**
 * What a manifest or index points to.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import {
  type AnnotationMap,
  type Digest,
  isForeignLayer,
  isIndexMediaType,
  manifestMediaTypeOf,
  parseIndex,
  parseManifest,
} from "../oci/index.ts";

/** A manifest or index, as far as a registry cares. */
export interface ManifestReferences {
  readonly mediaType: string;
  /** Blobs that the manifest cannot do without: its config and its layers. */
  readonly blobs: readonly Digest[];
  /** Manifests that the index lists. */
  readonly manifests: readonly Digest[];
  /** The manifest that this one is about. It may be missing. */
  readonly subject: Digest | undefined;
  /** What the referrers API says about it, beside digest and size. */
  readonly artifactType: string | undefined;
  readonly annotations: AnnotationMap | undefined;
}

/**
 * Reads the references of a manifest or index.
 *
 * @param stated the media type that the client stated, without parameters.
 * @throws {EsgzError} `MANIFEST_INVALID` also where the bytes contradict the stated media type.
 */
export function parseReferences(bytes: Uint8Array, stated?: string): ManifestReferences {
  const mediaType = manifestMediaTypeOf(bytes, stated);
  if (stated !== undefined && stated !== mediaType) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      `Cannot accept manifest: expected its media type "${stated}", got "${mediaType}"`,
    );
  }
  return isIndexMediaType(mediaType) ? indexReferences(bytes, mediaType) : imageReferences(bytes, mediaType);
}

function imageReferences(bytes: Uint8Array, mediaType: string): ManifestReferences {
  const manifest = parseManifest(bytes);
  const layers = manifest.layers.filter((layer) => !isForeignLayer(layer));
  return {
    mediaType,
    blobs: [manifest.config, ...layers].map(({ digest }) => digest),
    manifests: [],
    subject: manifest.subject?.digest,
    artifactType: emptyAsMissing(manifest.artifactType) ?? manifest.config.mediaType,
    annotations: manifest.annotations ?? undefined,
  };
}

function indexReferences(bytes: Uint8Array, mediaType: string): ManifestReferences {
  const index = parseIndex(bytes);
  return {
    mediaType,
    blobs: [],
    manifests: (index.manifests ?? []).map(({ digest }) => digest),
    subject: index.subject?.digest,
    artifactType: emptyAsMissing(index.artifactType),
    annotations: index.annotations ?? undefined,
  };
}

function emptyAsMissing(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
