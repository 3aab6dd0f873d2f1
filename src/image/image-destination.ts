/**
 * Where an image is written to, whatever the medium.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import type { Descriptor, Digest } from "../oci/index.ts";
import type { ImageMedium } from "./image-name.ts";
import type { ImageSource } from "./image-source.ts";

/** How to write a blob. */
export interface WriteBlobOptions extends ReadOptions {
  /** Digest and size that the content must have. */
  readonly expected?: Pick<Descriptor, "digest" | "size"> | undefined;
}

/** What was written. */
export interface WrittenBlob {
  readonly digest: Digest;
  readonly size: number;
}

/**
 * One image being written. Blobs and manifests go in any order, blobs concurrently; `publish` comes last and makes
 * the name point to the image in one step. Disposing without publishing leaves the name as it was and removes
 * temporary files.
 */
export interface ImageDestination extends AsyncDisposable {
  /** The image's name, for people. */
  readonly name: string;
  readonly kind: ImageMedium;
  /** Whether the blob is there already and need not be written. */
  hasBlob(descriptor: Descriptor, options?: ReadOptions): Promise<boolean>;
  /** Takes the blob from the source without moving its bytes through this machine; false if that is not possible. */
  mountBlob(descriptor: Descriptor, source: ImageSource, options?: ReadOptions): Promise<boolean>;
  /**
   * Writes a blob; it is visible under its digest only when complete.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `NO_SPACE`, `IO_FAILED`; codes of the medium.
   */
  writeBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options?: WriteBlobOptions,
  ): Promise<WrittenBlob>;
  /** Writes a manifest or index byte for byte. */
  writeManifest(
    content: { readonly bytes: Uint8Array; readonly mediaType: string },
    options?: ReadOptions,
  ): Promise<Descriptor>;
  /**
   * Makes the name point to `root`, which was written before. The last step.
   *
   * @throws {EsgzError} `IMAGE_NOT_FOUND` if the root was not written; `NOT_SUPPORTED` if the medium cannot hold it.
   */
  publish(root: Descriptor, options?: ReadOptions): Promise<void>;
}
