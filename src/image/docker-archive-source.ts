/**
 * An image in a docker archive, read.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { type BlobSource, type ByteRange, MemoryBlob, type ReadOptions } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import {
  algorithmOf,
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  encodeManifest,
  hexOf,
  type ImageReference,
  layerMediaType,
  manifestMediaTypeOf,
  type ManifestContent,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
  parseImageConfig,
  parseIndex,
} from "../oci/index.ts";
import { digestOf, manifestContentOf, readChecked } from "./checked-manifest.ts";
import { detectCompression } from "./decompress.ts";
import { type DockerArchiveIndex, readDockerArchiveIndex } from "./docker-archive-index.ts";
import {
  ARCHIVE_MANIFEST,
  chooseArchiveImage,
  type DockerArchiveImage,
  parseArchiveManifest,
} from "./docker-archive-manifest.ts";
import { FileBlob } from "./file-blob.ts";
import { HashedStream } from "./hashed-stream.ts";
import { formatImageName } from "./image-name.ts";
import type { ImageSource } from "./image-source.ts";
import { ioFailure } from "./io-failure.ts";

/** Which image of the archive. */
export interface DockerArchiveChoice {
  readonly reference?: ImageReference | undefined;
  /** Counted from 0. */
  readonly sourceIndex?: number | undefined;
}

/**
 * Reads one image of a docker archive in place: blobs are ranges of the file. An archive that is an OCI layout too
 * (newer Docker) gives its own manifests; for others a Docker manifest is made from what `manifest.json` lists.
 */
export class DockerArchiveSource implements ImageSource {
  readonly name: string;
  readonly kind = "docker-archive";
  readonly #file: FileBlob;
  readonly #choice: DockerArchiveChoice;
  readonly #index: DockerArchiveIndex;
  /** Blobs that have no `blobs/` member of their own. */
  readonly #places = new Map<Digest, ByteRange>();
  readonly #made = new Map<Digest, Uint8Array>();

  private constructor(
    file: FileBlob,
    options: {
      readonly choice: DockerArchiveChoice;
      readonly index: DockerArchiveIndex;
      readonly name: string;
    },
  ) {
    this.#file = file;
    this.#choice = options.choice;
    this.#index = options.index;
    this.name = options.name;
  }

  /**
   * Opens an archive and reads where its members lie.
   *
   * @throws {EsgzError} `IMAGE_NOT_FOUND`, `TAR_INVALID`, `LIMIT_EXCEEDED`, `IO_FAILED`; `NOT_SUPPORTED` if the file
   * is compressed as a whole.
   */
  static async open(
    path: string,
    options: ReadOptions & { readonly choice?: DockerArchiveChoice } = {},
  ): Promise<DockerArchiveSource> {
    const choice = options.choice ?? {};
    const size = await stat(path).then(
      (found) => found.size,
      (cause: unknown) => {
        throw ioFailure("open docker archive", path, cause);
      },
    );
    const file = new FileBlob(path, { size });
    try {
      await assertPlainTar(file, { ...options, path });
      const index = await readDockerArchiveIndex(file, options);
      const { reference, sourceIndex } = choice;
      const name = formatImageName({
        kind: "docker-archive",
        file: path,
        ...(reference === undefined ? {} : { reference }),
        ...(sourceIndex === undefined ? {} : { sourceIndex }),
      });
      return new DockerArchiveSource(file, { choice, index, name });
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  async fetchRoot(options: ReadOptions = {}): Promise<ManifestContent> {
    const image = await this.#chooseImage(options);
    return (await this.#findOwnManifest(image, options)) ?? (await this.#makeManifest(image, options));
  }

  async fetchManifest(descriptor: Descriptor, options: ReadOptions = {}): Promise<ManifestContent> {
    const bytes = await readChecked(this.openBlob(descriptor), descriptor, { ...options, what: "manifest" });
    const mediaType = manifestMediaTypeOf(bytes, descriptor.mediaType);
    return { descriptor: { ...descriptor, mediaType }, bytes };
  }

  openBlob(descriptor: Descriptor): BlobSource {
    const made = this.#made.get(descriptor.digest);
    if (made !== undefined) return new MemoryBlob(made);
    const range = this.#places.get(descriptor.digest) ?? this.#index.find(ownPath(descriptor.digest));
    return new FileRange(this.#file, {
      range,
      size: descriptor.size,
      what: `"${descriptor.digest}" in "${this.name}"`,
    });
  }

  fetchCompanion(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  async #chooseImage(options: ReadOptions): Promise<DockerArchiveImage> {
    const images = parseArchiveManifest(await this.#readMember(ARCHIVE_MANIFEST, options));
    const image = chooseArchiveImage(images, this.#choice);
    if (image !== undefined) return image;
    const tags = images.flatMap(({ RepoTags }) => RepoTags ?? ["an image without a name"]);
    throw new EsgzError(
      "IMAGE_NOT_FOUND",
      `Cannot find image "${this.name}": expected exactly one image or the name of one, got ${tags.join(", ") || "none"}`,
    );
  }

  /** The archive's own manifest or index of the image, where the archive is an OCI layout too. */
  async #findOwnManifest(
    image: DockerArchiveImage,
    options: ReadOptions,
  ): Promise<ManifestContent | undefined> {
    if (this.#index.find("oci-layout") === undefined || this.#index.find("index.json") === undefined) {
      return undefined;
    }
    const entries = parseIndex(await this.#readMember("index.json", options)).manifests ?? [];
    const names = new Set((image.RepoTags ?? []).map((tag) => tag.replace(/^docker\.io\/(library\/)?/, "")));
    const named = entries.filter((entry) => {
      const name = entry.annotations?.[ANNOTATIONS.containerdImageName];
      return name !== undefined && names.has(name.replace(/^docker\.io\/(library\/)?/, ""));
    });
    const [entry] = named.length > 0 ? named : entries.length === 1 ? entries : [];
    if (entry === undefined) return undefined;
    const { mediaType, digest, size } = entry;
    try {
      return await this.fetchManifest({ mediaType, digest, size }, options);
    } catch (error) {
      if (isEsgzError(error, "IMAGE_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  async #makeManifest(image: DockerArchiveImage, options: ReadOptions): Promise<ManifestContent> {
    const configBytes = await this.#readMember(image.Config, options);
    const diffIds = parseImageConfig(configBytes).rootfs.diff_ids ?? [];
    if (diffIds.length !== image.Layers.length) {
      throw new EsgzError(
        "MANIFEST_INVALID",
        `Cannot read image "${this.name}": expected ${diffIds.length} layers as its config lists, got ${image.Layers.length}`,
      );
    }
    const config = {
      mediaType: MEDIA_TYPES.dockerConfig,
      digest: digestOf(configBytes),
      size: configBytes.length,
    };
    this.#made.set(config.digest, configBytes);
    const layers: Descriptor[] = [];
    for (const [at, diffId] of diffIds.entries()) {
      layers.push(await this.#placeLayer(image.Layers[at] ?? "", { ...options, diffId }));
    }
    const mediaType = MEDIA_TYPES.dockerManifest;
    const content = manifestContentOf(encodeManifest({ schemaVersion: 2, mediaType, config, layers }));
    this.#made.set(content.descriptor.digest, content.bytes);
    return content;
  }

  /** A layer's descriptor: a plain tar has its diff id as digest; one that is stored compressed is hashed. */
  async #placeLayer(member: string, options: ReadOptions & { readonly diffId: Digest }): Promise<Descriptor> {
    const range = this.#rangeOf(member);
    const magic = await this.#file.read({ offset: range.offset, size: Math.min(4, range.size) }, options);
    const compression = detectCompression(magic);
    const digest = compression === "uncompressed" ? options.diffId : await this.#hash(range, options);
    this.#places.set(digest, range);
    return { mediaType: layerMediaType("docker", compression), digest, size: range.size };
  }

  async #hash(range: ByteRange, options: ReadOptions): Promise<Digest> {
    const hashed = new HashedStream();
    for await (const piece of this.#file.stream(range, options)) hashed.update(piece);
    return hashed.digest;
  }

  async #readMember(name: string, options: ReadOptions): Promise<Uint8Array> {
    const range = this.#rangeOf(name);
    if (range.size > MAX_MANIFEST_BYTES) {
      throw new EsgzError(
        "LIMIT_EXCEEDED",
        `Cannot read "${name}" of "${this.name}": expected at most ${MAX_MANIFEST_BYTES} bytes, got ${range.size}`,
      );
    }
    return await this.#file.read(range, options);
  }

  #rangeOf(member: string): ByteRange {
    const range = this.#index.find(member);
    if (range !== undefined) return range;
    throw new EsgzError("IMAGE_NOT_FOUND", `Cannot find "${member}" in "${this.name}": no such member`);
  }
}

/** A run of bytes of another blob; undefined where the archive does not hold it, which only reading tells. */
class FileRange implements BlobSource {
  readonly size: number;
  readonly #file: FileBlob;
  readonly #range: ByteRange | undefined;
  readonly #what: string;

  constructor(
    file: FileBlob,
    options: { readonly range: ByteRange | undefined; readonly size: number; readonly what: string },
  ) {
    this.#file = file;
    this.#range = options.range;
    this.size = options.size;
    this.#what = options.what;
  }

  async read(range: ByteRange, options: ReadOptions = {}): Promise<Uint8Array> {
    return await this.#file.read(this.#inFile(range), options);
  }

  async *stream(range: ByteRange, options: ReadOptions = {}): AsyncIterable<Uint8Array> {
    yield* this.#file.stream(this.#inFile(range), options);
  }

  #inFile({ offset, size }: ByteRange): ByteRange {
    if (this.#range === undefined) {
      throw new EsgzError("IMAGE_NOT_FOUND", `Cannot read blob ${this.#what}: no such member`);
    }
    if (this.#range.size !== this.size) {
      throw new EsgzError(
        "SIZE_MISMATCH",
        `Cannot read blob ${this.#what}: expected ${this.size} bytes, got ${this.#range.size}`,
      );
    }
    if (offset < 0 || size < 0 || offset + size > this.size) {
      throw new EsgzError(
        "RANGE_INVALID",
        `Cannot read blob ${this.#what}: expected a range inside ${this.size} bytes, got ${size} bytes at ${offset}`,
      );
    }
    return { offset: this.#range.offset + offset, size };
  }
}

function ownPath(digest: Digest): string {
  return `blobs/${algorithmOf(digest)}/${hexOf(digest)}`;
}

async function assertPlainTar(
  file: FileBlob,
  options: ReadOptions & { readonly path: string },
): Promise<void> {
  const compression = detectCompression(
    await file.read({ offset: 0, size: Math.min(4, file.size) }, options),
  );
  if (compression === "uncompressed") return;
  throw new EsgzError(
    "NOT_SUPPORTED",
    `Cannot open docker archive "${options.path}": expected a plain tar, got ${compression} (decompress it first)`,
  );
}
