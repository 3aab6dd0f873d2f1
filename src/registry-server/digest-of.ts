/**
 * Digests of stored and received bytes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { algorithmOf, type Digest, type DigestAlgorithm, parseDigest } from "../oci/index.ts";

const READ_SIZE = 1 << 20;

/** The digest of bytes. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = "sha256"): Digest {
  return parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`);
}

/** The digest of a file, by the algorithm of an expected one. */
export async function digestOfFile(
  file: { read(target: Uint8Array, offset: number): Promise<number> },
  expected: Digest,
): Promise<Digest> {
  const algorithm = algorithmOf(expected);
  const hash = createHash(algorithm);
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
  for (let offset = 0; ;) {
    const count = await file.read(buffer, offset);
    hash.update(buffer.subarray(0, count));
    offset += count;
    if (count < buffer.length) return parseDigest(`${algorithm}:${hash.digest("hex")}`);
  }
}
