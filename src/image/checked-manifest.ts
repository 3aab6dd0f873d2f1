/**
 * Manifests and small blobs, read whole and checked.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type BlobSource, type ReadOptions, wholeRange } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  type DigestAlgorithm,
  digestMismatch,
  manifestMediaTypeOf,
  type ManifestContent,
  MAX_MANIFEST_BYTES,
  parseDigest,
} from "../oci/index.ts";

/** The digest of bytes. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`);
}

/**
 * Checks bytes against a descriptor.
 *
 * @throws {EsgzError} `SIZE_MISMATCH`, `DIGEST_MISMATCH`
 */
export function assertContent(
  bytes: Uint8Array,
  descriptor: Pick<Descriptor, "digest" | "size">,
  what: string,
): void {
  if (bytes.length !== descriptor.size) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot accept ${what} "${descriptor.digest}": expected ${descriptor.size} bytes, got ${bytes.length}`,
    );
  }
  const found = digestOf(bytes, algorithmOf(descriptor.digest));
  if (found !== descriptor.digest) throw digestMismatch(what, descriptor.digest, found);
}

/**
 * Reads a small blob (a manifest or a config) whole and checks digest and size.
 *
 * @throws {EsgzError} `LIMIT_EXCEEDED` above 16 MiB, `SIZE_MISMATCH`, `DIGEST_MISMATCH`; codes of the medium.
 */
export async function readChecked(
  blob: BlobSource,
  descriptor: Descriptor,
  options: ReadOptions & { readonly what: string },
): Promise<Uint8Array> {
  if (descriptor.size > MAX_MANIFEST_BYTES) {
    throw new EsgzError(
      "LIMIT_EXCEEDED",
      `Cannot read ${options.what}: expected at most ${MAX_MANIFEST_BYTES} bytes, got ${descriptor.size}`,
    );
  }
  const bytes = await blob.read(wholeRange(blob), options);
  assertContent(bytes, descriptor, options.what);
  return bytes;
}

/** A manifest's bytes with a descriptor made from them. */
export function manifestContentOf(bytes: Uint8Array, stated?: string): ManifestContent {
  const mediaType = manifestMediaTypeOf(bytes, stated);
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } };
}
