/**
 * Reading an image's config.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { ImageSource } from "../image/index.ts";
import { algorithmOf, type Descriptor, digestMismatch, MAX_MANIFEST_BYTES } from "../oci/index.ts";

/**
 * The bytes of a config, checked against their digest.
 *
 * @throws {EsgzError} `LIMIT_EXCEEDED` before reading one that is too large; `DIGEST_MISMATCH`; codes of the medium.
 */
export async function readConfig(
  source: ImageSource,
  descriptor: Descriptor,
  options: ReadOptions = {},
): Promise<Uint8Array> {
  const { digest, size } = descriptor;
  if (size > MAX_MANIFEST_BYTES) {
    throw new EsgzError(
      "LIMIT_EXCEEDED",
      `Cannot read image config "${digest}": expected at most ${MAX_MANIFEST_BYTES} bytes, got ${size}`,
    );
  }
  const bytes = await source.openBlob(descriptor).read({ offset: 0, size }, options);
  const algorithm = algorithmOf(digest);
  const found = `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
  if (found !== digest) throw digestMismatch(`image config "${digest}"`, digest, found);
  return bytes;
}
