/**
 * An image in a registry, written.
 *
 * @module
 */
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { type Descriptor, type Digest, formatReference, type ImageReference } from "../oci/index.ts";
import type { Repository } from "../registry/index.ts";
import { manifestContentOf } from "./checked-manifest.ts";
import type { ImageDestination, WriteBlobOptions, WrittenBlob } from "./image-destination.ts";
import type { ImageSource } from "./image-source.ts";

/**
 * Pushes one image to a repository. Manifests go up by digest; the tag is set in `publish`. The client behind the
 * repository stays its owner's.
 */
export class RegistryDestination implements ImageDestination {
  readonly name: string;
  readonly kind = "registry";
  readonly #repository: Repository;
  readonly #reference: ImageReference;
  readonly #manifests = new Map<Digest, { readonly bytes: Uint8Array; readonly mediaType: string }>();

  constructor(repository: Repository, options: { readonly reference: ImageReference }) {
    this.#repository = repository;
    this.#reference = options.reference;
    this.name = formatReference(options.reference);
  }

  async hasBlob(descriptor: Descriptor, options: ReadOptions = {}): Promise<boolean> {
    return await this.#repository.hasBlob(descriptor.digest, options);
  }

  async mountBlob(descriptor: Descriptor, source: ImageSource, options: ReadOptions = {}): Promise<boolean> {
    const from = source.repository;
    if (from === undefined || from.registry !== this.#repository.registry) return false;
    if (from.repository === this.#repository.repository) return await this.hasBlob(descriptor, options);
    return await this.#repository.mountBlob(descriptor.digest, { ...options, from: from.repository });
  }

  async writeBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<WrittenBlob> {
    const { expected, signal } = options;
    return await this.#repository.pushBlob(content, { ...expected, signal });
  }

  async writeManifest(
    content: { readonly bytes: Uint8Array; readonly mediaType: string },
    options: ReadOptions = {},
  ): Promise<Descriptor> {
    const { descriptor, bytes } = manifestContentOf(content.bytes, content.mediaType);
    const { mediaType, digest } = descriptor;
    await this.#repository.pushManifest(bytes, { ...options, mediaType, reference: digest });
    this.#manifests.set(digest, { bytes, mediaType });
    return descriptor;
  }

  async publish(root: Descriptor, options: ReadOptions = {}): Promise<void> {
    const { tag, digest } = this.#reference;
    if (digest !== undefined && digest !== root.digest) {
      throw new EsgzError(
        "DIGEST_MISMATCH",
        `Cannot publish image "${this.name}": expected digest ${digest}, got ${root.digest}`,
      );
    }
    const written = this.#manifests.get(root.digest);
    if (written === undefined) {
      throw new EsgzError(
        "IMAGE_NOT_FOUND",
        `Cannot publish image "${this.name}": its manifest ${root.digest} was not written`,
      );
    }
    if (tag === undefined) return;
    const { bytes, mediaType } = written;
    await this.#repository.pushManifest(bytes, { ...options, mediaType, reference: tag });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
