/**
 * What views need of an image.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import type { LayerHandle } from "../store/index.ts";

/** An image that can be shown; `PreparedImage` is one. */
export interface ViewedImage {
  readonly name: string;
  readonly manifest: Digest;
  /** Lowest first. */
  readonly layers: readonly { readonly handle: LayerHandle }[];
  /** The EROFS image over the data devices of all layers, verified. */
  readonly mergedMeta: { readonly digest: Digest; readonly path: string };
}
