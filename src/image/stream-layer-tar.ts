/**
 * A layer's tar, decompressed and checked.
 *
 * @module
 */
import { type ReadOptions, wholeRange } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { algorithmOf, digestMismatch } from "../oci/index.ts";
import { decompressStream } from "./decompress.ts";
import { HashedStream } from "./hashed-stream.ts";
import type { Layer } from "./image.ts";

/**
 * Streams a layer's uncompressed tar in pieces of up to 1 MiB, by what the bytes are rather than by what the media type
 * says. The iteration ends normally only when blob digest, blob size and (where known) diff id are right; until
 * then the bytes are unproven. Memory does not depend on the layer's size.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `COMPRESSION_INVALID`; codes of the medium.
 */
export async function* streamLayerTar(
  layer: Layer,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor, blob, diffId } = layer;
  let stored = new HashedStream(algorithmOf(descriptor.digest));
  const read = (): AsyncIterable<Uint8Array> => {
    stored = new HashedStream(algorithmOf(descriptor.digest));
    return stored.pass(blob.stream(wholeRange(blob), options));
  };
  const tar = new HashedStream(diffId === undefined ? "sha256" : algorithmOf(diffId));
  yield* tar.pass(decompressStream(read(), { reread: read }));
  if (stored.size !== descriptor.size) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot accept layer "${descriptor.digest}": expected ${descriptor.size} bytes, got ${stored.size}`,
    );
  }
  if (stored.digest !== descriptor.digest) throw digestMismatch("layer", descriptor.digest, stored.digest);
  if (diffId !== undefined && tar.digest !== diffId) {
    throw digestMismatch(`tar of layer ${descriptor.digest}`, diffId, tar.digest);
  }
}
