/**
 * An image in a registry, read.
 *
 * @module
 */
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { type Descriptor, formatReference, type ImageReference, type ManifestContent } from "../oci/index.ts";
import type { Repository } from "../registry/index.ts";
import type { ImageSource } from "./image-source.ts";

/** Reads one image of a repository. The client behind the repository stays its owner's. */
export class RegistrySource implements ImageSource {
  readonly name: string;
  readonly kind = "registry";
  readonly repository: Repository;
  readonly #reference: ImageReference;

  constructor(repository: Repository, options: { readonly reference: ImageReference }) {
    this.repository = repository;
    this.#reference = options.reference;
    this.name = formatReference(options.reference);
  }

  async fetchRoot(options: ReadOptions = {}): Promise<ManifestContent> {
    const { digest, tag } = this.#reference;
    return await this.repository.fetchManifest(digest ?? tag ?? "latest", options);
  }

  async fetchManifest(descriptor: Descriptor, options: ReadOptions = {}): Promise<ManifestContent> {
    const content = await this.repository.fetchManifest(descriptor.digest, options);
    return { ...content, descriptor: { ...descriptor, mediaType: content.descriptor.mediaType } };
  }

  openBlob(descriptor: Descriptor): BlobSource {
    return this.repository.openBlob(descriptor);
  }

  async fetchCompanion(suffix: string, options: ReadOptions = {}): Promise<ManifestContent | undefined> {
    const { tag } = this.#reference;
    if (tag === undefined) return undefined;
    try {
      return await this.repository.fetchManifest(`${tag}${suffix}`, options);
    } catch (error) {
      if (isEsgzError(error, "REGISTRY_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  async fetchReferrers(subject: Descriptor, options: ReadOptions = {}): Promise<readonly Descriptor[]> {
    return await this.repository.listReferrers(subject.digest, options);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
