/**
 * Blobs on their way in: received in pieces, hashed as they come, checked before they become content.
 *
 * The running hash lives in memory only. After a restart, or for another algorithm than foreseen, the bytes are read
 * again at the end.
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import type { Clock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { algorithmOf, type Digest, type DigestAlgorithm, digestMismatch, parseDigest } from "../oci/index.ts";
import type { Catalog } from "./catalog.ts";
import { digestOfFile } from "./digest-of.ts";
import { RegistryProblem } from "./registry-problem.ts";
import type { RegistryStorage, UploadKey, UploadWriter } from "./registry-storage.ts";

/** Where a chunk says that it belongs. */
export interface ChunkPlace {
  /** Its first byte, counted from the start of the blob. */
  readonly offset: number;
  /** The number of its bytes. */
  readonly size: number;
}

/** Bounds on uploads. */
export interface UploadLimits {
  /** Unfinished uploads at one time. */
  readonly maxUploads: number;
  /** The largest blob, in bytes. */
  readonly maxBlobBytes: number;
  /** Uploads that nobody touched for so long are dropped. */
  readonly uploadExpiryMs: number;
}

/** What {@link UploadSessions} works with. */
export interface UploadSessionsOptions {
  readonly catalog: Catalog;
  readonly clock: Clock;
  readonly limits: UploadLimits;
  /** Gives a fresh lower-case UUID. */
  readonly createId: () => string;
}

interface Session {
  readonly key: UploadKey;
  /** The hash of the first `hashed` bytes. */
  hash: Hash;
  algorithm: DigestAlgorithm;
  hashed: number;
  busy: boolean;
}

const WRITE_SIZE = 1 << 20;
const HASH_UNUSABLE = -1;

/** All unfinished uploads of a registry. */
export class UploadSessions {
  readonly #options: UploadSessionsOptions;
  readonly #storage: RegistryStorage;
  readonly #sessions = new Map<string, Session>();

  constructor(options: UploadSessionsOptions) {
    this.#options = options;
    this.#storage = options.catalog.storage;
  }

  /**
   * Begins an upload.
   *
   * @param options.algorithm the algorithm that the blob's digest will have; another one costs reading it again.
   * @throws {RegistryProblem} `TOOMANYREQUESTS`
   */
  async begin(
    repository: string,
    options: { readonly algorithm?: DigestAlgorithm | undefined } = {},
  ): Promise<UploadKey> {
    if (this.#sessions.size >= this.#options.limits.maxUploads) await this.sweep();
    if (this.#sessions.size >= this.#options.limits.maxUploads) {
      const headers = { "Retry-After": "30" };
      throw new RegistryProblem("TOOMANYREQUESTS", "too many unfinished uploads", { headers });
    }
    const key = { repository, id: this.#options.createId() };
    this.#sessions.set(key.id, newSession(key, options.algorithm));
    try {
      await this.#storage.createUpload(key);
    } catch (error) {
      this.#sessions.delete(key.id);
      throw error;
    }
    return key;
  }

  /** The number of bytes that have arrived. */
  async sizeOf(key: UploadKey): Promise<number> {
    await using writer = await this.#open(key);
    return writer.size;
  }

  /**
   * Appends what arrives. What came before a failure of the connection stays, so that a client can go on from there.
   *
   * @returns the number of bytes that the upload has now.
   * @throws {RegistryProblem} `BLOB_UPLOAD_UNKNOWN`; `BLOB_UPLOAD_INVALID` with status 416 for a chunk out of order,
   * with 409 while another request writes; `SIZE_INVALID`.
   */
  async append(
    key: UploadKey,
    chunks: AsyncIterable<Uint8Array>,
    options: { readonly place?: ChunkPlace | undefined } = {},
  ): Promise<number> {
    return await this.#alone(key, async (session, writer) => {
      await this.#receive(session, { writer, chunks, place: options.place });
      return writer.size;
    });
  }

  /**
   * Appends what arrives, checks the digest, and makes the whole a blob of its repository. An upload with another digest
   * is dropped.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`
   * @throws {RegistryProblem} as {@linkcode UploadSessions.append}
   */
  async finish(
    key: UploadKey,
    chunks: AsyncIterable<Uint8Array>,
    options: { readonly digest: Digest; readonly place?: ChunkPlace | undefined },
  ): Promise<void> {
    const { digest, place } = options;
    await this.#alone(key, async (session, writer) => {
      if (writer.size === 0) restartHash(session, algorithmOf(digest));
      await this.#receive(session, { writer, chunks, place });
      const found = await finalDigest(session, writer, digest);
      // Cancelled by another request meanwhile?
      if (this.#sessions.get(key.id) !== session) throw unknownUpload(key);
      if (found !== digest) {
        await this.#drop(key);
        throw digestMismatch("blob", digest, found);
      }
      await this.#commit(key, digest);
    });
  }

  /** Drops an upload; false if there is none. */
  async cancel(key: UploadKey): Promise<boolean> {
    return await this.#drop(key);
  }

  /** Drops uploads that nobody has touched for long, and returns how many. */
  async sweep(): Promise<number> {
    const limit = this.#options.clock.wallMs() - this.#options.limits.uploadExpiryMs;
    let count = 0;
    for await (const { repository, id, changedMs } of this.#storage.listUploads()) {
      if (changedMs > limit || this.#sessions.get(id)?.busy === true) continue;
      if (await this.#drop({ repository, id })) count += 1;
    }
    return count;
  }

  async #commit(key: UploadKey, digest: Digest): Promise<void> {
    const { catalog } = this.#options;
    await catalog.shared(async () => {
      await this.#storage.commitUpload(key, digest);
      await catalog.linkBlob(key.repository, digest);
    });
    this.#sessions.delete(key.id);
  }

  async #drop(key: UploadKey): Promise<boolean> {
    if (this.#sessions.get(key.id)?.key.repository === key.repository) this.#sessions.delete(key.id);
    return await this.#storage.deleteUpload(key);
  }

  async #open(key: UploadKey): Promise<UploadWriter> {
    const writer = await this.#storage.openUpload(key);
    if (writer !== undefined) return writer;
    throw unknownUpload(key);
  }

  /** Runs work on an upload while no other request may write to it. */
  async #alone<T>(key: UploadKey, work: (session: Session, writer: UploadWriter) => Promise<T>): Promise<T> {
    await using writer = await this.#open(key);
    // An upload of before a restart has bytes that no running hash has seen; `hashed` tells.
    const session = this.#sessions.get(key.id) ?? newSession(key, undefined);
    if (session.busy) {
      throw new RegistryProblem("BLOB_UPLOAD_INVALID", "another request is writing to this upload", {
        status: 409,
      });
    }
    this.#sessions.set(key.id, session);
    session.busy = true;
    try {
      return await work(session, writer);
    } finally {
      session.busy = false;
    }
  }

  async #receive(
    session: Session,
    incoming: {
      readonly writer: UploadWriter;
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly place: ChunkPlace | undefined;
    },
  ): Promise<void> {
    const { writer, chunks, place } = incoming;
    const start = writer.size;
    if (place !== undefined && place.offset !== start) throw outOfOrder(place.offset, start);
    const room = this.#options.limits.maxBlobBytes - start;
    for await (const parts of gather(chunks)) {
      const received = writer.size - start + sizeOfAll(parts);
      if (received > room) throw tooLarge(this.#options.limits.maxBlobBytes);
      if (place !== undefined && received > place.size) {
        await cutBack(session, writer, start);
        throw wrongSize(place.size, received);
      }
      await store(session, writer, parts);
    }
    const received = writer.size - start;
    if (place === undefined || received === place.size) return;
    await cutBack(session, writer, start);
    throw wrongSize(place.size, received);
  }
}

async function store(session: Session, writer: UploadWriter, parts: readonly Uint8Array[]): Promise<void> {
  const before = writer.size;
  await writer.append(parts);
  if (session.hashed !== before) return;
  for (const part of parts) session.hash.update(part);
  session.hashed = writer.size;
}

async function cutBack(session: Session, writer: UploadWriter, size: number): Promise<void> {
  await writer.truncate(size);
  // The hash has seen what is gone now: read everything again at the end.
  session.hashed = HASH_UNUSABLE;
}

function restartHash(session: Session, algorithm: DigestAlgorithm): void {
  session.hash = createHash(algorithm);
  session.algorithm = algorithm;
  session.hashed = 0;
}

async function finalDigest(session: Session, writer: UploadWriter, expected: Digest): Promise<Digest> {
  const usable = session.hashed === writer.size && session.algorithm === algorithmOf(expected);
  if (!usable) return await digestOfFile(writer, expected);
  return parseDigest(`${session.algorithm}:${session.hash.copy().digest("hex")}`);
}

/** Puts small pieces together, so that each write to the storage is worth its cost. */
async function* gather(chunks: AsyncIterable<Uint8Array>): AsyncIterable<readonly Uint8Array[]> {
  let parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of chunks) {
      parts.push(chunk);
      size += chunk.length;
      if (size < WRITE_SIZE) continue;
      yield parts;
      [parts, size] = [[], 0];
    }
  } catch (error) {
    // What came before the connection broke is kept: the client may resume after it.
    if (size > 0) yield parts;
    throw error;
  }
  if (size > 0) yield parts;
}

function newSession(key: UploadKey, algorithm: DigestAlgorithm = "sha256"): Session {
  return { key, hash: createHash(algorithm), algorithm, hashed: 0, busy: false };
}

function sizeOfAll(parts: readonly Uint8Array[]): number {
  return parts.reduce((size, part) => size + part.length, 0);
}

function unknownUpload({ id }: UploadKey): RegistryProblem {
  return new RegistryProblem("BLOB_UPLOAD_UNKNOWN", "no such upload", { detail: { upload: id } });
}

function outOfOrder(offset: number, expected: number): RegistryProblem {
  return new RegistryProblem("BLOB_UPLOAD_INVALID", `expected the chunk from ${expected}, got ${offset}`, {
    status: 416,
    detail: { expected, offset },
  });
}

function wrongSize(expected: number, found: number): RegistryProblem {
  return new RegistryProblem("SIZE_INVALID", `expected ${expected} bytes, got ${found}`);
}

function tooLarge(limit: number): EsgzError {
  return new EsgzError("LIMIT_EXCEEDED", `Cannot accept blob: expected at most ${limit} bytes`);
}
