/**
 * The record of where a layer comes from: behind the table in the file `chunks`, as it was when the layer was made, and in the
 * file `source`, which counts from then on, when it has changed.
 *
 * ```text
 * "sha256:<64 hex digits>\n"   digest of what follows
 * JSON, UTF-8                  a LayerSource and the digest of `meta`
 * ```
 *
 * @module
 */
import { hash } from "node:crypto";
import * as v from "valibot";
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import { type Digest, isDigest } from "../oci/index.ts";
import { storeInvalid } from "./store-error.ts";

/** The most bytes that a record may have. */
export const MAX_SOURCE_BYTES: number = 1 << 20;

const PREFIX_SIZE = "sha256:".length + 64 + 1;
const Size = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const DigestText = v.custom<Digest>(isDigest, "expected a digest");

const SourceSchema = v.object({
  metaDigest: DigestText,
  mediaType: v.string(),
  blobSize: Size,
  compression: v.picklist(["gzip", "zstd", "none"]),
  tocDigest: v.optional(DigestText),
  diffId: v.optional(DigestText),
  landmark: v.optional(v.picklist(["prefetch", "no-prefetch"])),
  prefetchSize: Size,
  locations: v.pipe(v.array(v.object({ registry: v.string(), repository: v.string() })), v.maxLength(1000)),
  blobVerified: v.boolean(),
});

/** A repository that has the layer's blob. */
export interface LayerLocation {
  readonly registry: string;
  readonly repository: string;
}

/** Where a layer comes from and what is known about it. */
export interface LayerSource {
  readonly mediaType: string;
  /** The size of the blob in bytes. */
  readonly blobSize: number;
  readonly compression: "gzip" | "zstd" | "none";
  /** The digest of the TOC that the chunk table was made from; none for a layer that was streamed whole. */
  readonly tocDigest?: Digest | undefined;
  readonly diffId?: Digest | undefined;
  readonly landmark?: "prefetch" | "no-prefetch" | undefined;
  /** The bytes from the start of the blob to fetch first; 0 for none. */
  readonly prefetchSize: number;
  /** Repositories that have the blob, the best first; at most 1000. */
  readonly locations: readonly LayerLocation[];
  /** Whether the whole blob was once checked against its digest. */
  readonly blobVerified: boolean;
}

/** What a record holds. */
export interface SourceRecord {
  readonly source: LayerSource;
  /** The digest of `meta`. */
  readonly metaDigest: Digest;
}

/**
 * Whether a layer that is there may be used where another source is asked for.
 *
 * The digest of a blob says nothing about a TOC that somebody claims to belong to it: while the blob has not been read
 * whole, an image could plant a layer for the blob of another. So the TOCs must be the same; a layer that was made from
 * the whole blob, and found to match its digest, needs none.
 */
export function agrees(existing: LayerSource, wanted: Pick<LayerSource, "tocDigest">): boolean {
  const wasStreamed = existing.tocDigest === undefined && existing.blobVerified;
  return wasStreamed || existing.tocDigest === wanted.tocDigest;
}

/** What a layer is: bytes of one that is the same lie at the same places, and have to match the same digests. */
export interface LayerIdentity {
  /** The digest of `meta`: it says where bytes lie, and nothing of what they are. */
  readonly metaDigest: Digest;
  /** The digest of the TOC; none for a layer that was made from the whole, verified blob. */
  readonly tocDigest: Digest | undefined;
}

/** The identity of a layer. */
export function identityOf({ metaDigest, source: { tocDigest } }: SourceRecord): LayerIdentity {
  return { metaDigest, tocDigest };
}

/** Encodes a record. */
export function encodeSource(record: SourceRecord): Uint8Array {
  const body = JSON.stringify({ ...record.source, metaDigest: record.metaDigest });
  return encodeUtf8(`sha256:${hash("sha256", body)}\n${body}`);
}

/**
 * Decodes a record.
 *
 * @throws {EsgzError} `STORE_INVALID`
 */
export function decodeSource(bytes: Uint8Array): SourceRecord {
  const body = bytes.subarray(PREFIX_SIZE);
  if (decodeUtf8(bytes.subarray(0, PREFIX_SIZE)) !== `sha256:${hash("sha256", body)}\n`) {
    throw storeInvalid("layer source", { expected: "bytes that match their digest", found: "others" });
  }
  const { metaDigest, ...source } = parseBody(decodeUtf8(body));
  return { source, metaDigest };
}

function parseBody(text: string): v.InferOutput<typeof SourceSchema> {
  try {
    return v.parse(SourceSchema, JSON.parse(text));
  } catch (error) {
    throw storeInvalid("layer source", { expected: "a JSON object", found: "another value", cause: error });
  }
}
