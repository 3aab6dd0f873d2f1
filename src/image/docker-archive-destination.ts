/**
 * An image in a docker archive, written.
 *
 * | member | content |
 * | --- | --- |
 * | `HEX.tar` | each layer, decompressed, by its diff id |
 * | `HEX.json` | config, by its digest |
 * | `manifest.json` | the list of one image |
 *
 * Source: archives that docker, podman and skopeo write and load.
 *
 * @module
 */
import { createReadStream } from "node:fs";
import { readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { ReadOptions } from "../blob/index.ts";
import { encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { syncPath } from "../files/index.ts";
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  digestMismatch,
  formatReference,
  hexOf,
  type ImageManifest,
  type ImageReference,
  isIndexMediaType,
  parseImageConfig,
  parseManifest,
} from "../oci/index.ts";
import { encodeTarHeader, END_OF_ARCHIVE, paddingOf, plainMetadata } from "../tar/index.ts";
import { manifestContentOf } from "./checked-manifest.ts";
import { decompressStream } from "./decompress.ts";
import { ARCHIVE_MANIFEST, type DockerArchiveImage } from "./docker-archive-manifest.ts";
import { HashedStream } from "./hashed-stream.ts";
import type { ImageDestination, WriteBlobOptions, WrittenBlob } from "./image-destination.ts";
import { formatImageName } from "./image-name.ts";
import { ioFailure } from "./io-failure.ts";
import { makeDirectories } from "./make-directories.ts";
import { openWorkspace } from "./open-workspace.ts";
import { receiveBlob } from "./receive-blob.ts";

/** A blob that waits, decompressed, in a temporary file. */
interface WaitingBlob {
  readonly path: string;
  /** Of the decompressed bytes. */
  readonly diffId: Digest;
  /** Of the decompressed bytes. */
  readonly size: number;
  /** Of the bytes as they came. */
  readonly storedSize: number;
}

interface Member {
  readonly name: string;
  readonly size: number;
  readonly content: () => AsyncIterable<Uint8Array>;
}

const READ_BYTES = 1 << 20;

/**
 * Writes one image to a file that `docker load`, `podman load` and `skopeo` read. Layers are decompressed as they
 * come and wait in temporary files beside the archive, which is written and takes its name in `publish`.
 */
export class DockerArchiveDestination implements ImageDestination {
  readonly name: string;
  readonly kind = "docker-archive";
  readonly #path: string;
  readonly #reference: ImageReference | undefined;
  readonly #temporary: string;
  readonly #blobs = new Map<Digest, WaitingBlob>();
  readonly #manifests = new Map<Digest, ManifestBytes>();
  #count = 0;

  private constructor(
    path: string,
    options: {
      readonly reference?: ImageReference | undefined;
      readonly temporary: string;
      readonly name: string;
    },
  ) {
    this.#path = path;
    this.#reference = options.reference;
    this.#temporary = options.temporary;
    this.name = options.name;
  }

  /** Opens a file for writing. @throws {EsgzError} `IO_FAILED` */
  static async open(
    file: string,
    options: { readonly reference?: ImageReference | undefined } = {},
  ): Promise<DockerArchiveDestination> {
    const path = resolve(file);
    const { reference } = options;
    const name = formatImageName({
      kind: "docker-archive",
      file,
      ...(reference === undefined ? {} : { reference }),
    });
    try {
      await makeDirectories(dirname(path));
      const temporary = await openWorkspace(dirname(path), `.${basename(path)}.esgz-`);
      return new DockerArchiveDestination(path, { reference, temporary, name });
    } catch (cause) {
      throw ioFailure("write docker archive", file, cause);
    }
  }

  hasBlob(descriptor: Descriptor): Promise<boolean> {
    return Promise.resolve(this.#blobs.get(descriptor.digest)?.storedSize === descriptor.size);
  }

  async mountBlob(descriptor: Descriptor): Promise<boolean> {
    return await this.hasBlob(descriptor);
  }

  async writeBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<WrittenBlob> {
    const { expected, signal } = options;
    this.#count += 1;
    const path = join(this.#temporary, String(this.#count));
    const stored = new HashedStream(expected === undefined ? "sha256" : algorithmOf(expected.digest));
    try {
      const pieces = content instanceof Uint8Array ? onePiece(content) : content;
      const { digest: diffId, size } = await receiveBlob(path, decompressStream(stored.pass(pieces)), {
        signal,
      });
      assertStored(stored, expected);
      this.#blobs.set(stored.digest, { path, diffId, size, storedSize: stored.size });
      return { digest: stored.digest, size: stored.size };
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  writeManifest(content: { readonly bytes: Uint8Array; readonly mediaType: string }): Promise<Descriptor> {
    const { descriptor, bytes } = manifestContentOf(content.bytes, content.mediaType);
    this.#manifests.set(descriptor.digest, { bytes, mediaType: descriptor.mediaType });
    return Promise.resolve(descriptor);
  }

  async publish(root: Descriptor, options: ReadOptions = {}): Promise<void> {
    const manifest = this.#manifestOf(root);
    const members = await this.#membersOf(manifest);
    const temporary = join(this.#temporary, "archive");
    try {
      await receiveBlob(temporary, tarOf(members), { signal: options.signal });
      options.signal?.throwIfAborted();
      await rename(temporary, this.#path);
      await syncPath(dirname(this.#path));
    } catch (cause) {
      options.signal?.throwIfAborted();
      throw ioFailure("write docker archive", this.#path, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  #manifestOf(root: Descriptor): ImageManifest {
    const written = this.#manifests.get(root.digest);
    if (written === undefined) {
      throw new EsgzError(
        "IMAGE_NOT_FOUND",
        `Cannot publish image "${this.name}": its manifest ${root.digest} was not written`,
      );
    }
    if (isIndexMediaType(written.mediaType)) {
      throw new EsgzError(
        "NOT_SUPPORTED",
        `Cannot publish image "${this.name}": expected one image, got an index (a docker archive holds one platform)`,
      );
    }
    return parseManifest(written.bytes);
  }

  async #membersOf(manifest: ImageManifest): Promise<readonly Member[]> {
    const config = this.#blobOf(manifest.config);
    const layers = manifest.layers.map((layer) => this.#blobOf(layer));
    const configBytes = await readFile(config.path);
    assertDiffIds(parseImageConfig(configBytes).rootfs.diff_ids ?? [], layers);
    const image: DockerArchiveImage = {
      Config: `${hexOf(config.diffId)}.json`,
      RepoTags: this.#reference === undefined ? [] : [formatReference(this.#reference)],
      Layers: layers.map(({ diffId }) => `${hexOf(diffId)}.tar`),
    };
    const unique = new Map(layers.map((layer) => [layer.diffId, layer]));
    return [
      ...[...unique.values()].map((layer) => fileMember(`${hexOf(layer.diffId)}.tar`, layer)),
      fileMember(image.Config, config),
      bytesMember(ARCHIVE_MANIFEST, encodeUtf8(JSON.stringify([image]))),
    ];
  }

  #blobOf(descriptor: Descriptor): WaitingBlob {
    const blob = this.#blobs.get(descriptor.digest);
    if (blob !== undefined) return blob;
    throw new EsgzError(
      "IMAGE_NOT_FOUND",
      `Cannot publish image "${this.name}": its blob ${descriptor.digest} was not written`,
    );
  }
}

interface ManifestBytes {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

function assertStored(stored: HashedStream, expected: WriteBlobOptions["expected"]): void {
  if (expected === undefined) return;
  if (stored.size !== expected.size) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot write blob "${expected.digest}": expected ${expected.size} bytes, got ${stored.size}`,
    );
  }
  if (stored.digest !== expected.digest) throw digestMismatch("blob", expected.digest, stored.digest);
}

function assertDiffIds(wanted: readonly Digest[], layers: readonly WaitingBlob[]): void {
  if (wanted.length !== layers.length) {
    throw new EsgzError(
      "MANIFEST_INVALID",
      `Cannot write docker archive: expected ${wanted.length} layers as the config lists, got ${layers.length}`,
    );
  }
  for (const [at, { diffId }] of layers.entries()) {
    const expected = wanted[at];
    if (expected !== undefined && expected !== diffId) throw digestMismatch(`layer ${at}`, expected, diffId);
  }
}

function fileMember(name: string, { path, size }: WaitingBlob): Member {
  return { name, size, content: () => createReadStream(path, { highWaterMark: READ_BYTES }) };
}

function bytesMember(name: string, bytes: Uint8Array): Member {
  return { name, size: bytes.length, content: () => onePiece(bytes) };
}

async function* tarOf(members: readonly Member[]): AsyncGenerator<Uint8Array, void, undefined> {
  for (const { name, size, content } of members) {
    yield encodeTarHeader(plainMetadata({ name, size }));
    yield* content();
    const padding = paddingOf(size);
    if (padding > 0) yield new Uint8Array(padding);
  }
  yield END_OF_ARCHIVE;
}

async function* onePiece(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
