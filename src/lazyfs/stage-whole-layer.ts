/**
 * A layer that is read whole.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import type { OverlayNamespace } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Layer } from "../image/index.ts";
import type { LayerHandle, Store } from "../store/index.ts";

/** How to stage a layer. */
export interface StageWholeLayerOptions extends ReadOptions {
  readonly store: Store;
  /** Where overlayfs will look for the layer's marks; `trusted` by default. */
  readonly overlayMarks?: OverlayNamespace | undefined;
  /** Is told how many bytes of the blob have been read. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Reads a layer whole. */
export async function stageWholeLayer(layer: Layer, _options: StageWholeLayerOptions): Promise<LayerHandle> {
  return await Promise.reject(
    new EsgzError(
      "NOT_SUPPORTED",
      `Cannot read layer ${layer.descriptor.digest} whole: expected a lazy layer`,
    ),
  );
}
