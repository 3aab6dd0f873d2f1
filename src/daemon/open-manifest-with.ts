/**
 * The manifest of the image that a client means by one of its layers.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { type ImageSource, openPlatformManifest, type PlatformManifest } from "../image/index.ts";
import {
  type Digest,
  type ImageManifest,
  isIndexMediaType,
  parseIndex,
  parseManifest,
  type Platform,
} from "../oci/index.ts";

/**
 * The manifest that has a layer; of an index, that of the platform is tried first, and opened where none has it.
 *
 * @throws {EsgzError} as `openPlatformManifest()`
 */
export async function openManifestWith(
  digest: Digest,
  options: ReadOptions & { readonly source: ImageSource; readonly platform: Platform },
): Promise<PlatformManifest> {
  const { source, signal } = options;
  const usual = await openPlatformManifest(source, options);
  if (usual.indexes.length === 0 || hasLayer(usual.manifest, digest)) return usual;
  // A client may pull for another machine.
  const [root] = usual.indexes;
  for (const entry of root === undefined ? [] : (parseIndex(root.bytes).manifests ?? [])) {
    if (entry.digest === usual.descriptor.digest || isIndexMediaType(entry.mediaType)) continue;
    const { descriptor, bytes } = await source.fetchManifest(entry, { signal });
    const manifest = parseManifest(bytes);
    if (hasLayer(manifest, digest)) return { ...usual, descriptor, manifest, manifestBytes: bytes };
  }
  return usual;
}

function hasLayer({ layers }: ImageManifest, digest: Digest): boolean {
  return layers.some((layer) => layer.digest === digest);
}
