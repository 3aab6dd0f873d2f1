/**
 * Small blobs by their digest: manifests, configs, TOCs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readdir, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { encodeHex } from "../bytes/index.ts";
import { ensureDirectory, ifExists, replaceFile } from "../files/index.ts";
import { algorithmOf, type Digest, digestMismatch, isDigest } from "../oci/index.ts";
import { readBoundedFile } from "./read-bounded-file.ts";
import type { SpaceReserve } from "./space-reserve.ts";
import { guarded, storeInvalid } from "./store-error.ts";
import type { StoreObserver } from "./store-event.ts";
import { DIRECTORY_MODE, type StoreLayout } from "./store-layout.ts";

/** The most bytes of a small blob: room for the largest TOC. */
export const MAX_CONTENT_BYTES: number = 256 << 20;

/** A small blob that is there. */
export interface StoredContent {
  readonly digest: Digest;
  /** Bytes. */
  readonly size: number;
}

/** The directory `content` of a store. */
export class ContentStore {
  readonly #layout: StoreLayout;
  readonly #reserve: SpaceReserve;
  readonly #onEvent: StoreObserver;

  constructor(layout: StoreLayout, reserve: SpaceReserve, onEvent: StoreObserver) {
    this.#layout = layout;
    this.#reserve = reserve;
    this.#onEvent = onEvent;
  }

  /** Where a blob lies, or would lie, for those who need a path. Bytes are not verified but by {@link ContentStore.read}. */
  pathOf(digest: Digest): string {
    return this.#layout.contentFile(digest);
  }

  /**
   * Keeps a blob; one that is there already is left as it is.
   *
   * @param options.durable waits until the disk has it; default true. Without, a power loss may cost the blob: right for
   * what can be made again.
   * @throws {EsgzError} `DIGEST_MISMATCH`, `STORE_INVALID` for more than 256 MiB, `NO_SPACE`, `IO_FAILED`
   */
  async write(
    digest: Digest,
    bytes: Uint8Array,
    options: { readonly durable?: boolean } = {},
  ): Promise<void> {
    if (bytes.length > MAX_CONTENT_BYTES) {
      throw storeInvalid(`content ${digest}`, {
        expected: `at most ${MAX_CONTENT_BYTES} bytes`,
        found: String(bytes.length),
      });
    }
    const found = digestOf(bytes, digest);
    if (found !== digest) throw digestMismatch("content", digest, found);
    const write = async (): Promise<void> => {
      if ((await this.read(digest)) !== undefined) return;
      const path = this.#layout.contentFile(digest);
      const temporary = this.#layout.nextTemporary();
      await ensureDirectory(dirname(path), { mode: DIRECTORY_MODE });
      await replaceFile(path, bytes, { temporary, durable: options.durable });
    };
    await this.#reserve.use(async () => await guarded(`store content ${digest}`, write));
  }

  /**
   * Reads and verifies a blob; undefined if there is none. One that does not match its digest is deleted, and is none.
   *
   * @throws {EsgzError} `IO_FAILED`; `STORE_INVALID` for more than 256 MiB
   */
  async read(digest: Digest): Promise<Uint8Array | undefined> {
    return await guarded(`read content ${digest}`, async () => {
      const path = this.#layout.contentFile(digest);
      const bytes = await readBoundedFile(path, { limit: MAX_CONTENT_BYTES });
      if (bytes === undefined || digestOf(bytes, digest) === digest) return bytes;
      await rm(path, { force: true });
      this.#onEvent({ kind: "content-rejected", digest });
      return undefined;
    });
  }

  /** Deletes a blob, if it is there. @throws {EsgzError} `IO_FAILED` */
  async delete(digest: Digest): Promise<void> {
    await guarded(`delete content ${digest}`, () => rm(this.#layout.contentFile(digest), { force: true }));
  }

  /** All blobs that are there, unverified. @throws {EsgzError} `IO_FAILED` */
  async list(): Promise<readonly StoredContent[]> {
    return await guarded("list content", async () => {
      const found: StoredContent[] = [];
      for (const algorithm of (await ifExists(readdir(this.#layout.content))) ?? []) {
        for (const hex of (await ifExists(readdir(join(this.#layout.content, algorithm)))) ?? []) {
          const digest = `${algorithm}:${hex}`;
          if (!isDigest(digest)) continue;
          const stats = await ifExists(stat(this.#layout.contentFile(digest)));
          if (stats?.isFile() === true) found.push({ digest, size: stats.size });
        }
      }
      return found;
    });
  }
}

function digestOf(bytes: Uint8Array, like: Digest): string {
  const algorithm = algorithmOf(like);
  return `${algorithm}:${encodeHex(createHash(algorithm).update(bytes).digest())}`;
}
