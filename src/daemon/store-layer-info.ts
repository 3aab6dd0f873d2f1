/**
 * What containers-storage reads of a layer that it takes from an additional layer store: a part of its own record of layers.
 *
 * ```text
 *                          asked for by
 *                          layer digest    TOC digest
 * compressed-diff-digest   of the blob     -
 * compressed-size          of the blob     -
 * diff-digest              from the config -
 * toc-digest               -               as asked for
 * flags                    -               expected-layer-diffid, from the config
 * diff-size                of the tar where an annotation tells it, else -1
 * compression              2 gzip, 4 zstd, 0 none
 * ```
 *
 * Source: containers-storage, `layers.go` and `drivers/overlay/overlay.go`; versions before 1.52 ask by layer digest.
 *
 * @module
 */
import type { Layer } from "../image/index.ts";
import { ANNOTATIONS, type Digest } from "../oci/index.ts";

const COMPRESSION: Readonly<Record<Layer["compression"], number>> = { uncompressed: 0, gzip: 2, zstd: 4 };
const UNKNOWN = -1;

/** The JSON with a newline. A diff id is what the config says: nothing has been unpacked that could prove it. */
export function storeLayerInfo(layer: Layer, asked: Digest): string {
  const { descriptor, diffId } = layer;
  const { digest, size, annotations } = descriptor;
  const stated = Number(annotations?.[ANNOTATIONS.uncompressedSize] ?? UNKNOWN);
  const common = {
    "diff-size": Number.isSafeInteger(stated) ? stated : UNKNOWN,
    compression: COMPRESSION[layer.compression],
  };
  const identity =
    asked === digest
      ? { "compressed-diff-digest": digest, "compressed-size": size, "diff-digest": diffId }
      : { "toc-digest": asked, flags: { "expected-layer-diffid": diffId } };
  return `${JSON.stringify({ ...common, ...identity })}\n`;
}
