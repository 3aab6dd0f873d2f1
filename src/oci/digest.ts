/**
 * Content digests: `sha256:<64 hex digits>` and its sha384 and sha512 kin.
 *
 * Source: OCI image specification, descriptor.md, "Digests".
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** A digest that has been parsed: safe as a file name part, a map key, a URL part. */
export type Digest = `${DigestAlgorithm}:${string}`;

/** The algorithms that esgz can compute. */
export type DigestAlgorithm = "sha256" | "sha384" | "sha512";

const HEX_LENGTHS: Readonly<Record<DigestAlgorithm, number>> = { sha256: 64, sha384: 96, sha512: 128 };
const DIGEST = /^(sha256|sha384|sha512):([0-9a-f]+)$/;

/** Whether text is a digest. */
export function isDigest(text: unknown): text is Digest {
  if (typeof text !== "string") return false;
  const match = DIGEST.exec(text);
  return match !== null && match[2]?.length === HEX_LENGTHS[match[1] as DigestAlgorithm];
}

/**
 * Parses a digest.
 *
 * @throws {EsgzError} `DIGEST_INVALID`
 */
export function parseDigest(text: unknown): Digest {
  if (isDigest(text)) return text;
  throw new EsgzError(
    "DIGEST_INVALID",
    `Cannot parse digest ${JSON.stringify(text) ?? "undefined"}: expected "sha256:" and 64 lower-case hex digits`,
  );
}

/** The algorithm of a digest. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(":")) as DigestAlgorithm;
}

/** The hex digits of a digest. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(":") + 1);
}

/** The first digits of a digest, for people. */
export function shortDigest(digest: Digest): string {
  return hexOf(digest).slice(0, 12);
}

/** The error for bytes that are not what their digest promised. */
export function digestMismatch(what: string, expected: Digest, found: string): EsgzError {
  return new EsgzError(
    "DIGEST_MISMATCH",
    `Cannot accept ${what}: expected digest ${expected}, got ${found}`,
    {
      details: { expected, found },
    },
  );
}
