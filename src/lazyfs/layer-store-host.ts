/**
 * What an additional layer store needs of whoever has images.
 *
 * @module
 */
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import type { Digest } from "../oci/index.ts";

/** A layer of an image, as a container engine asked for it. */
export interface StoreLayer {
  /** The image, as the engine named it. */
  readonly reference: string;
  /** As it was asked for: of the blob, or of its table of contents. */
  readonly digest: Digest;
  /** Of the blob. */
  readonly blob: Digest;
  readonly blobSize: number;
  /**
   * Of the table of contents that it is shown by; `whole` if all of it is there and proven by its own digest. `any` if that is not
   * known, and a lease keeps it as it is.
   */
  readonly tocDigest: Digest | "whole" | "any";
  /** What the engine is to know of it, as text. */
  readonly info: string;
}

/** Finds, shows and reads layers. */
export interface LayerStoreHost {
  /** Where the link `pool` leads to. */
  readonly pool: string;
  /** The layers that were found, also before a restart. */
  layers(): Iterable<StoreLayer>;
  /** Whether there is an image of this name. @throws {EsgzError} if nobody can say */
  hasImage(reference: string, options: ReadOptions): Promise<boolean>;
  /** A layer that can be shown; undefined if the image has none with this digest, or it cannot be lazy. */
  findLayer(
    layer: Pick<StoreLayer, "reference" | "digest">,
    options: ReadOptions,
  ): Promise<StoreLayer | undefined>;
  /** Has a layer shown somewhere else, and says where: its root, with whiteouts as overlayfs wants them. */
  showLayer(layer: StoreLayer, options: ReadOptions): Promise<string>;
  /** Bytes of the blob as they lie in the registry. The result is the caller's. */
  readBlob(layer: StoreLayer, range: ByteRange, options: ReadOptions): Promise<Uint8Array>;
  /** The engine uses a layer once more. */
  useLayer(layer: StoreLayer): void;
  /** The engine uses a layer once less. */
  releaseLayer(layer: StoreLayer): void;
}
