/**
 * An image in an OCI layout, written.
 *
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import { syncPath } from "../files/index.ts";
import {
  ANNOTATIONS,
  type Descriptor,
  type Digest,
  encodeManifest,
  type ImageIndex,
  MEDIA_TYPES,
  parseIndex,
} from "../oci/index.ts";
import { manifestContentOf } from "./checked-manifest.ts";
import type { ImageDestination, WriteBlobOptions, WrittenBlob } from "./image-destination.ts";
import { formatImageName } from "./image-name.ts";
import { withIndexLock } from "./index-lock.ts";
import { ioFailure } from "./io-failure.ts";
import {
  LAYOUT_INDEX,
  LAYOUT_MARKER,
  LAYOUT_MARKER_TEXT,
  layoutBlobPath,
  layoutTagOf,
  withoutLayoutNames,
} from "./oci-layout.ts";
import { makeDirectories } from "./make-directories.ts";
import { openWorkspace } from "./open-workspace.ts";
import { receiveBlob } from "./receive-blob.ts";
import { replaceFile } from "./replace-file.ts";

/**
 * Writes one image into an OCI layout, which is made if the directory is missing or empty. Blobs appear under their
 * digests as they are completed and stay when the work is interrupted, so that the next attempt need not write them
 * again; the index changes only in `publish`, and keeps every other entry.
 */
export class OciLayoutDestination implements ImageDestination {
  readonly name: string;
  readonly kind = "oci";
  readonly #directory: string;
  readonly #tag: string | undefined;
  readonly #temporary: string;
  readonly #touched = new Set<string>();
  readonly #manifests = new Map<Digest, Descriptor>();
  #count = 0;

  private constructor(
    directory: string,
    options: { readonly tag?: string | undefined; readonly temporary: string },
  ) {
    this.#directory = directory;
    this.#tag = options.tag;
    this.#temporary = options.temporary;
    this.name = formatImageName({
      kind: "oci",
      directory,
      ...(options.tag === undefined ? {} : { tag: options.tag }),
    });
  }

  /**
   * Opens a layout for writing.
   *
   * @throws {EsgzError} `ALREADY_EXISTS` if the directory holds something else; `IO_FAILED`
   */
  static async open(
    directory: string,
    options: { readonly tag?: string | undefined } = {},
  ): Promise<OciLayoutDestination> {
    try {
      await makeDirectories(directory);
      const present = await readdir(directory);
      const isLayout = present.includes(LAYOUT_MARKER) || present.includes(LAYOUT_INDEX);
      if (!isLayout && present.some((entry) => entry !== "blobs" && !entry.startsWith(".esgz-"))) {
        throw new EsgzError(
          "ALREADY_EXISTS",
          `Cannot write OCI layout "${directory}": expected a layout or an empty directory, got other files`,
        );
      }
      const temporary = await openWorkspace(directory, ".esgz-");
      return new OciLayoutDestination(directory, { tag: options.tag, temporary });
    } catch (cause) {
      throw ioFailure("write OCI layout", directory, cause);
    }
  }

  async hasBlob(descriptor: Descriptor, options: ReadOptions = {}): Promise<boolean> {
    options.signal?.throwIfAborted();
    const found = await stat(layoutBlobPath(this.#directory, descriptor.digest)).catch(() => undefined);
    return found?.isFile() === true && found.size === descriptor.size;
  }

  async mountBlob(descriptor: Descriptor): Promise<boolean> {
    return await this.hasBlob(descriptor);
  }

  async writeBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteBlobOptions = {},
  ): Promise<WrittenBlob> {
    const temporary = this.#nextTemporary();
    try {
      const written = await receiveBlob(temporary, content, options);
      const path = layoutBlobPath(this.#directory, written.digest);
      await mkdir(dirname(path), { recursive: true });
      await rename(temporary, path);
      this.#touched.add(dirname(path));
      return written;
    } catch (cause) {
      await rm(temporary, { force: true });
      if (cause instanceof Error && "syscall" in cause) throw ioFailure("write blob to", this.name, cause);
      throw cause;
    }
  }

  async writeManifest(
    content: { readonly bytes: Uint8Array; readonly mediaType: string },
    options: ReadOptions = {},
  ): Promise<Descriptor> {
    const { descriptor, bytes } = manifestContentOf(content.bytes, content.mediaType);
    await this.writeBlob(bytes, { ...options, expected: descriptor });
    this.#manifests.set(descriptor.digest, descriptor);
    return descriptor;
  }

  async publish(root: Descriptor, options: ReadOptions = {}): Promise<void> {
    if (!(await this.hasBlob(root, options))) {
      throw new EsgzError(
        "IMAGE_NOT_FOUND",
        `Cannot publish image "${this.name}": its manifest ${root.digest} was not written`,
      );
    }
    for (const directory of this.#touched) await syncPath(directory);
    options.signal?.throwIfAborted();
    try {
      await withIndexLock(join(this.#directory, LOCK), () => this.#replaceIndex(root), options);
    } catch (cause) {
      if (cause instanceof Error && "syscall" in cause) throw ioFailure("publish to", this.name, cause);
      throw cause;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#temporary, { recursive: true, force: true });
  }

  #nextTemporary(): string {
    this.#count += 1;
    return join(this.#temporary, String(this.#count));
  }

  /** Reads, changes and replaces the index. */
  #replaceIndex(root: Descriptor): void {
    const marker = join(this.#directory, LAYOUT_MARKER);
    if (!existsSync(marker)) replaceFile(marker, LAYOUT_MARKER_TEXT, { temporary: this.#nextTemporary() });
    const path = join(this.#directory, LAYOUT_INDEX);
    const old: ImageIndex = existsSync(path) ? parseIndex(readFileSync(path)) : EMPTY_INDEX;
    const manifests = [...this.#keptEntries(old), this.#namedEntry(root)];
    const bytes = encodeManifest({ ...old, manifests });
    replaceFile(path, bytes, { temporary: this.#nextTemporary() });
  }

  /** The entries of other names; where the new one has none, every entry but the nameless image that it replaces. */
  #keptEntries(index: ImageIndex): readonly Descriptor[] {
    return (index.manifests ?? []).filter((entry) => {
      const tag = layoutTagOf(entry);
      if (tag !== undefined || this.#tag !== undefined) return tag !== this.#tag;
      return this.#hasSubject(entry);
    });
  }

  #namedEntry(root: Descriptor): Descriptor {
    const plain = withoutLayoutNames(root);
    if (this.#tag === undefined) return plain;
    return { ...plain, annotations: { ...plain.annotations, [ANNOTATIONS.refName]: this.#tag } };
  }

  /** Whether an entry refers to another manifest, as signatures do: it is then no image that a new one replaces. */
  #hasSubject(entry: Descriptor): boolean {
    const path = layoutBlobPath(this.#directory, entry.digest);
    if (!existsSync(path)) return false;
    const text = readFileSync(path);
    try {
      const value: unknown = JSON.parse(new TextDecoder().decode(text));
      return typeof value === "object" && value !== null && "subject" in value;
    } catch {
      return true;
    }
  }
}

const LOCK = ".esgz-lock";
const EMPTY_INDEX: ImageIndex = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] };
