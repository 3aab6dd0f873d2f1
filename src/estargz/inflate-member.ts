/**
 * From the compressed bytes of a member to the bytes of its chunks. Synchronous, so that it runs on any thread.
 *
 * @module
 */
import { hash } from "node:crypto";
import { algorithmOf, digestMismatch, type Digest } from "../oci/index.ts";
import { inflateGzip } from "./inflate-gzip.ts";
import { inflateZstd } from "./inflate-zstd.ts";
import type { Chunk } from "./toc-entry.ts";

/** How the members of an archive are compressed. */
export type MemberCompression = "gzip" | "zstd";

/** What to inflate. */
export interface InflateMemberOptions {
  readonly compression: MemberCompression;
  /** Uncompressed bytes needed, from the start of the member. The caller bounds it; it is memory. */
  readonly size: number;
}

/**
 * Inflates a member, or several that follow each other, to at least `size` bytes: a fresh array, which may hold some
 * bytes more. What stands behind the needed bytes, and whether anything does, has no influence. Output is bounded by
 * `size` and a constant, whatever the input.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID` if the bytes do not inflate, or to fewer.
 */
export function inflateMember(compressed: Uint8Array, options: InflateMemberOptions): Uint8Array {
  return options.compression === "gzip"
    ? inflateGzip(compressed, options.size)
    : inflateZstd(compressed, options.size);
}

/** Uncompressed bytes needed of a member to have all of a chunk. */
export function memberSizeFor(chunk: Chunk): number {
  return chunk.innerOffset + chunk.size;
}

/**
 * A chunk's bytes out of its compressed member: a view into a fresh array. A hole's are zeros.
 *
 * @param compressed the blob's bytes from `chunk.blobOffset` to `chunk.blobEnd`
 * @throws {EsgzError} `COMPRESSION_INVALID`; `DIGEST_MISMATCH` if they are not what the chunk's digest says.
 */
export function readChunk(
  compressed: Uint8Array,
  chunk: Chunk,
  options: { readonly compression: MemberCompression },
): Uint8Array {
  if (chunk.kind === "zeros") return new Uint8Array(chunk.size);
  const member = inflateMember(compressed, { compression: options.compression, size: memberSizeFor(chunk) });
  return sliceChunk(member, chunk);
}

/**
 * A chunk's bytes out of its inflated member: a view.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH` if they are not what the chunk's digest says.
 */
export function sliceChunk(member: Uint8Array, chunk: Chunk): Uint8Array {
  const bytes = member.subarray(chunk.innerOffset, memberSizeFor(chunk));
  if (chunk.digest !== undefined) assertDigest(bytes, chunk.digest);
  return bytes;
}

function assertDigest(bytes: Uint8Array, expected: Digest): void {
  const algorithm = algorithmOf(expected);
  const found = `${algorithm}:${hash(algorithm, bytes, "hex")}`;
  if (found !== expected) throw digestMismatch("chunk", expected, found);
}
