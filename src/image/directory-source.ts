/**
 * An image in a `dir:` directory, read.
 *
 * @module
 */
import { join } from "node:path";
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import { type Descriptor, hexOf, manifestMediaTypeOf, type ManifestContent } from "../oci/index.ts";
import { BlobFiles } from "./blob-files.ts";
import { assertContent, manifestContentOf } from "./checked-manifest.ts";
import { DIRECTORY_MANIFEST, DIRECTORY_MANIFEST_SUFFIX } from "./directory-layout.ts";
import { formatImageName } from "./image-name.ts";
import type { ImageSource } from "./image-source.ts";
import { readSmallFile } from "./read-small-file.ts";

/** Reads the one image of a `dir:` directory. */
export class DirectorySource implements ImageSource {
  readonly name: string;
  readonly kind = "dir";
  readonly #directory: string;
  readonly #files: BlobFiles;

  constructor(directory: string) {
    this.#directory = directory;
    this.name = formatImageName({ kind: "dir", directory });
    this.#files = new BlobFiles(({ digest }) => join(directory, hexOf(digest)));
  }

  async fetchRoot(options: ReadOptions = {}): Promise<ManifestContent> {
    return manifestContentOf(await this.#readManifest(DIRECTORY_MANIFEST, options));
  }

  async fetchManifest(descriptor: Descriptor, options: ReadOptions = {}): Promise<ManifestContent> {
    const bytes = await this.#readListed(descriptor, options);
    assertContent(bytes, descriptor, "manifest");
    const mediaType = manifestMediaTypeOf(bytes, descriptor.mediaType);
    return { descriptor: { ...descriptor, mediaType }, bytes };
  }

  openBlob(descriptor: Descriptor): BlobSource {
    return this.#files.open(descriptor);
  }

  fetchCompanion(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  /** A manifest of the index, or the root itself when it is asked for by its digest. */
  async #readListed(descriptor: Descriptor, options: ReadOptions): Promise<Uint8Array> {
    try {
      return await this.#readManifest(`${hexOf(descriptor.digest)}${DIRECTORY_MANIFEST_SUFFIX}`, options);
    } catch (error) {
      const root = await this.#readManifest(DIRECTORY_MANIFEST, options);
      if (root.length !== descriptor.size) throw error;
      return root;
    }
  }

  async #readManifest(file: string, options: ReadOptions): Promise<Uint8Array> {
    options.signal?.throwIfAborted();
    return await readSmallFile(join(this.#directory, file));
  }
}
