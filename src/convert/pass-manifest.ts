/**
 * Bringing manifests to the destination as they are, with all that they refer to.
 *
 * @module
 */
import { mapConcurrent } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  type Descriptor,
  isIndexMediaType,
  isManifestMediaType,
  type ManifestContent,
  parseIndex,
  parseManifest,
} from "../oci/index.ts";
import type { Conversion } from "./conversion.ts";
import { passBlob } from "./pass-blob.ts";

/** How many blobs of a manifest travel at once. */
const BLOBS_AT_ONCE = 4;

/** Indexes in indexes deeper than this are refused: each level is a request. */
const MAX_INDEX_DEPTH = 8;

/** What passing takes. */
export interface PassManifestOptions {
  readonly conversion: Conversion;
  readonly signal: AbortSignal;
  /** How many indexes the content lies in. */
  readonly depth?: number | undefined;
}

/**
 * Passes what an index entry points to: a manifest, another index, or a blob of a type that is neither.
 *
 * @throws {EsgzError} `LIMIT_EXCEEDED` for indexes nested too deep.
 */
export async function passEntry(entry: Descriptor, options: PassManifestOptions): Promise<void> {
  const { conversion, signal } = options;
  const { source, destination } = conversion;
  if (isIndexMediaType(entry.mediaType) || isManifestMediaType(entry.mediaType)) {
    await passManifest(await source.fetchManifest(entry, { signal }), options);
  } else await passBlob(entry, { source, destination, signal });
}

/** Passes a manifest or index, byte for byte, after all that it refers to. */
export async function passManifest(
  content: ManifestContent,
  options: PassManifestOptions,
): Promise<Descriptor> {
  const { conversion, signal, depth = 0 } = options;
  const { mediaType } = content.descriptor;
  if (isIndexMediaType(mediaType)) {
    if (depth >= MAX_INDEX_DEPTH) throw tooDeep(content.descriptor);
    for (const entry of parseIndex(content.bytes).manifests ?? []) {
      await passEntry(entry, { ...options, depth: depth + 1 });
    }
  } else await passBlobs(content, options);
  return await conversion.destination.writeManifest({ bytes: content.bytes, mediaType }, { signal });
}

async function passBlobs(
  content: ManifestContent,
  { conversion, signal }: PassManifestOptions,
): Promise<void> {
  const { source, destination } = conversion;
  const { config, layers } = parseManifest(content.bytes);
  const blobs = [config, ...layers].filter(({ urls }) => (urls ?? []).length === 0);
  await mapConcurrent(
    new Map(blobs.map((blob) => [blob.digest, blob])).values(),
    (blob, context) => passBlob(blob, { source, destination, signal: context.signal }),
    { concurrency: BLOBS_AT_ONCE, signal },
  );
}

function tooDeep({ digest }: Descriptor): EsgzError {
  return new EsgzError(
    "LIMIT_EXCEEDED",
    `Cannot copy index "${digest}": expected at most ${MAX_INDEX_DEPTH} indexes inside each other, got more`,
  );
}
