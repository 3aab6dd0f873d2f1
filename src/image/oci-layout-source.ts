/**
 * An image in an OCI layout, read.
 *
 * @module
 */
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import {
  type Descriptor,
  type ImageIndex,
  isIndexMediaType,
  manifestMediaTypeOf,
  type ManifestContent,
  parseIndex,
  parseManifest,
} from "../oci/index.ts";
import { BlobFiles } from "./blob-files.ts";
import { readChecked } from "./checked-manifest.ts";
import { formatImageName } from "./image-name.ts";
import type { ImageSource } from "./image-source.ts";
import {
  findLayoutEntries,
  layoutBlobPath,
  layoutEntryMissing,
  readLayoutIndex,
  withoutLayoutNames,
} from "./oci-layout.ts";

/** The tag that the name of an image without one stands for, when a companion is looked up. */
const DEFAULT_TAG = "latest";

/** Reads one image of an OCI layout. The index is read at each lookup, blobs are opened when they are read. */
export class OciLayoutSource implements ImageSource {
  readonly name: string;
  readonly kind = "oci";
  readonly #directory: string;
  readonly #tag: string | undefined;
  readonly #files: BlobFiles;

  constructor(directory: string, options: { readonly tag?: string | undefined } = {}) {
    this.#directory = directory;
    this.#tag = options.tag;
    this.name = formatImageName({
      kind: "oci",
      directory,
      ...(options.tag === undefined ? {} : { tag: options.tag }),
    });
    this.#files = new BlobFiles(({ digest }) => layoutBlobPath(directory, digest));
  }

  async fetchRoot(options: ReadOptions = {}): Promise<ManifestContent> {
    const index = await readLayoutIndex(this.#directory);
    const entry = await this.#chooseRoot(findLayoutEntries(index, this.#tag), options);
    if (entry === undefined) throw layoutEntryMissing(this.#directory, this.#tag, index);
    return await this.fetchManifest(withoutLayoutNames(entry), options);
  }

  async fetchManifest(descriptor: Descriptor, options: ReadOptions = {}): Promise<ManifestContent> {
    const bytes = await readChecked(this.openBlob(descriptor), descriptor, { ...options, what: "manifest" });
    const mediaType = manifestMediaTypeOf(bytes, descriptor.mediaType);
    return { descriptor: { ...descriptor, mediaType }, bytes };
  }

  openBlob(descriptor: Descriptor): BlobSource {
    return this.#files.open(descriptor);
  }

  async fetchCompanion(suffix: string, options: ReadOptions = {}): Promise<ManifestContent | undefined> {
    const index = await readLayoutIndex(this.#directory);
    const tag = `${this.#tag ?? DEFAULT_TAG}${suffix}`;
    const [entry, ...others] = findLayoutEntries(index, tag);
    if (entry === undefined || others.length > 0) return undefined;
    return await this.fetchManifest(withoutLayoutNames(entry), options);
  }

  async fetchReferrers(subject: Descriptor, options: ReadOptions = {}): Promise<readonly Descriptor[]> {
    const index: ImageIndex = await readLayoutIndex(this.#directory);
    const referrers: Descriptor[] = [];
    for (const entry of index.manifests ?? []) {
      if ((await this.#subjectOf(entry, options))?.digest === subject.digest) {
        referrers.push(withoutLayoutNames(entry));
      }
    }
    return referrers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#files[Symbol.asyncDispose]();
  }

  /** The only entry; of several, the only one that does not refer to another manifest (signatures and the like do). */
  async #chooseRoot(entries: readonly Descriptor[], options: ReadOptions): Promise<Descriptor | undefined> {
    if (entries.length <= 1) return entries[0];
    const roots: Descriptor[] = [];
    for (const entry of entries) {
      if ((await this.#subjectOf(entry, options)) === undefined) roots.push(entry);
    }
    return roots.length === 1 ? roots[0] : undefined;
  }

  async #subjectOf(entry: Descriptor, options: ReadOptions): Promise<Descriptor | undefined> {
    const { bytes, descriptor } = await this.fetchManifest(entry, options);
    return isIndexMediaType(descriptor.mediaType) ? parseIndex(bytes).subject : parseManifest(bytes).subject;
  }
}
