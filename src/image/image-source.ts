/**
 * Where an image is read from, whatever the medium.
 *
 * @module
 */
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import type { Descriptor, ManifestContent } from "../oci/index.ts";
import type { Repository } from "../registry/index.ts";
import type { ImageMedium } from "./image-name.ts";

/**
 * One image (or index, or artifact) on a medium. Disposing releases files and connections; blobs that it opened
 * cannot be read afterwards.
 */
export interface ImageSource extends AsyncDisposable {
  /** The image's name, for people. */
  readonly name: string;
  readonly kind: ImageMedium;
  /**
   * The manifest or index that the name points to, checked against its digest.
   *
   * @throws {EsgzError} `IMAGE_NOT_FOUND` or `REGISTRY_NOT_FOUND`; `MANIFEST_INVALID`; codes of the medium.
   */
  fetchRoot(options?: ReadOptions): Promise<ManifestContent>;
  /**
   * A manifest or index by its descriptor, checked against digest and size.
   *
   * @throws {EsgzError} `IMAGE_NOT_FOUND`, `REGISTRY_NOT_FOUND`, `DIGEST_MISMATCH`, `SIZE_MISMATCH`
   */
  fetchManifest(descriptor: Descriptor, options?: ReadOptions): Promise<ManifestContent>;
  /** A blob by its descriptor. No I/O until it is read; a missing blob fails at the first read. */
  openBlob(descriptor: Descriptor): BlobSource;
  /**
   * The root of the image whose tag is this one's plus a suffix (such as the image of external TOCs); undefined if
   * there is none or the medium has no tags.
   */
  fetchCompanion(suffix: string, options?: ReadOptions): Promise<ManifestContent | undefined>;
  /** Descriptors of manifests whose subject is the given digest; absent where the medium cannot say. */
  fetchReferrers?(subject: Descriptor, options?: ReadOptions): Promise<readonly Descriptor[]>;
  /** The repository, where the medium is a registry: for mounting blobs across repositories. */
  readonly repository?: Repository;
}
