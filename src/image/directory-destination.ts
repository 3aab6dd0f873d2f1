/**
 * An image in a `dir:` directory, written.
 *
 * @module
 */
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { syncPath } from "../files/index.ts";
import { type Descriptor, type Digest, hexOf } from "../oci/index.ts";
import { manifestContentOf } from "./checked-manifest.ts";
import {
  DIRECTORY_MANIFEST,
  DIRECTORY_MANIFEST_SUFFIX,
  DIRECTORY_MARKER,
  DIRECTORY_MARKER_TEXT,
} from "./directory-layout.ts";
import type { ImageDestination, WriteBlobOptions, WrittenBlob } from "./image-destination.ts";
import { formatImageName } from "./image-name.ts";
import { ioFailure } from "./io-failure.ts";
import { makeDirectories } from "./make-directories.ts";
import { openWorkspace } from "./open-workspace.ts";
import { receiveBlob } from "./receive-blob.ts";

/**
 * Writes one image to a directory. It is put together in a directory beside it and takes the name in `publish`;
 * an image that was there before is replaced.
 */
export class DirectoryDestination implements ImageDestination {
  readonly name: string;
  readonly kind = "dir";
  readonly #directory: string;
  readonly #temporary: string;
  readonly #content: string;
  readonly #blobs = new Map<Digest, number>();
  readonly #manifests = new Map<Digest, Uint8Array>();
  #count = 0;

  private constructor(directory: string, options: { readonly temporary: string; readonly name: string }) {
    this.#directory = directory;
    this.#temporary = options.temporary;
    this.#content = join(options.temporary, "content");
    this.name = options.name;
  }

  /**
   * Opens a directory for writing.
   *
   * @throws {EsgzError} `ALREADY_EXISTS` if the directory holds something that is no image; `IO_FAILED`
   */
  static async open(directory: string): Promise<DirectoryDestination> {
    const path = resolve(directory);
    try {
      await assertReplaceable(path);
      await makeDirectories(dirname(path));
      const temporary = await openWorkspace(dirname(path), `.${basename(path)}.esgz-`);
      await mkdir(join(temporary, "content"));
      const name = formatImageName({ kind: "dir", directory });
      return new DirectoryDestination(path, { temporary, name });
    } catch (cause) {
      throw ioFailure("write image directory", directory, cause);
    }
  }

  hasBlob(descriptor: Descriptor): Promise<boolean> {
    return Promise.resolve(this.#blobs.get(descriptor.digest) === descriptor.size);
  }

  async mountBlob(descriptor: Descriptor): Promise<boolean> {
    return await this.hasBlob(descriptor);
  }

  async writeBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<WrittenBlob> {
    this.#count += 1;
    const temporary = join(this.#temporary, String(this.#count));
    try {
      const written = await receiveBlob(temporary, content, options);
      await rename(temporary, join(this.#content, hexOf(written.digest)));
      this.#blobs.set(written.digest, written.size);
      return written;
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
  }

  writeManifest(content: { readonly bytes: Uint8Array; readonly mediaType: string }): Promise<Descriptor> {
    const { descriptor, bytes } = manifestContentOf(content.bytes, content.mediaType);
    this.#manifests.set(descriptor.digest, bytes);
    return Promise.resolve(descriptor);
  }

  async publish(root: Descriptor, options: ReadOptions = {}): Promise<void> {
    if (!this.#manifests.has(root.digest)) {
      throw new EsgzError(
        "IMAGE_NOT_FOUND",
        `Cannot publish image "${this.name}": its manifest ${root.digest} was not written`,
      );
    }
    try {
      await this.#writeManifests(root);
      await syncPath(this.#content);
      options.signal?.throwIfAborted();
      await this.#takeName();
      await syncPath(dirname(this.#directory));
    } catch (cause) {
      if (options.signal?.aborted === true) throw cause;
      throw ioFailure("publish image directory", this.#directory, cause);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  async #writeManifests(root: Descriptor): Promise<void> {
    for (const [digest, bytes] of this.#manifests) {
      const file =
        digest === root.digest ? DIRECTORY_MANIFEST : `${hexOf(digest)}${DIRECTORY_MANIFEST_SUFFIX}`;
      await writeFile(join(this.#content, file), bytes, { flush: true });
    }
    await writeFile(join(this.#content, DIRECTORY_MARKER), DIRECTORY_MARKER_TEXT, { flush: true });
  }

  /** Renames the finished directory to the final name; an earlier image steps aside first and goes with the temporary files. */
  async #takeName(): Promise<void> {
    await assertReplaceable(this.#directory);
    const old = join(this.#temporary, "old");
    const replaced = await rename(this.#directory, old).then(
      () => true,
      () => false,
    );
    try {
      await rename(this.#content, this.#directory);
    } catch (error) {
      if (replaced) await rename(old, this.#directory);
      throw error;
    }
  }
}

async function assertReplaceable(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  const present = found.isDirectory() ? await readdir(path) : ["a file"];
  if (present.length === 0 || present.includes(DIRECTORY_MARKER)) return;
  throw new EsgzError(
    "ALREADY_EXISTS",
    `Cannot write image directory "${path}": expected an image or an empty directory, got other files`,
  );
}
