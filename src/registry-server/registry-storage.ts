/**
 * The least that a medium must give so that a registry can live on it.
 *
 * Three kinds of things are kept: *content* (immutable bytes by digest, shared by all repositories), *uploads* (bytes
 * on their way to become content), and *records* (small named values: who links what, tags, referrers). What a record
 * means is the business of the catalog, not of the storage.
 *
 * Callers pass only names that have been parsed (repositories, tags, digests, upload ids); implementations may
 * use them as file names.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";

/** What is known of content or of an upload without reading it. */
export interface StoredStat {
  /** In bytes. */
  readonly size: number;
  /** When it was last written or touched, in milliseconds since 1970. */
  readonly changedMs: number;
}

/** Open content. Stays readable until closed, even if the content is deleted meanwhile. */
export interface ContentReader extends AsyncDisposable {
  readonly size: number;
  /** Fills `target` from `offset` on and returns how many bytes it wrote: fewer than asked only at the end. */
  read(target: Uint8Array, offset: number): Promise<number>;
}

/** An open upload. */
export interface UploadWriter extends AsyncDisposable {
  /** Bytes that are stored so far. */
  readonly size: number;
  /** Appends all parts. The arrays may be kept. On failure nothing is added. */
  append(parts: readonly Uint8Array[]): Promise<void>;
  /** Cuts the upload back to `size` bytes. */
  truncate(size: number): Promise<void>;
  /** As {@linkcode ContentReader.read}. */
  read(target: Uint8Array, offset: number): Promise<number>;
}

/** The name of an upload. */
export interface UploadKey {
  readonly repository: string;
  /** A lower-case UUID. */
  readonly id: string;
}

/** A set of records of one repository. */
export type RecordCollection =
  | { readonly repository: string; readonly kind: "blobs" | "manifests" | "tags" }
  | { readonly repository: string; readonly kind: "referrers"; readonly subject: Digest };

/** A record in a listing. */
export interface RecordStat {
  /** A tag, or a digest. */
  readonly name: string;
  readonly changedMs: number;
}

/** Where a registry keeps everything. All writes are atomic and durable when their promise resolves. */
export interface RegistryStorage extends AsyncDisposable {
  statContent(digest: Digest): Promise<StoredStat | undefined>;
  /** The content, or undefined if there is none. The caller closes it. */
  openContent(digest: Digest): Promise<ContentReader | undefined>;
  /** Stores small content whose digest the caller has computed. */
  writeContent(digest: Digest, bytes: Uint8Array): Promise<void>;
  /** Deletes content; does nothing if there is none. */
  deleteContent(digest: Digest): Promise<void>;
  listContent(): AsyncIterable<StoredStat & { readonly digest: Digest }>;

  createUpload(key: UploadKey): Promise<void>;
  /** The upload, or undefined if there is none. The caller closes it. */
  openUpload(key: UploadKey): Promise<UploadWriter | undefined>;
  /** Turns an upload into content whose digest the caller has checked. Nothing may be appended afterwards. */
  commitUpload(key: UploadKey, digest: Digest): Promise<void>;
  /** Drops an upload; false if there is none. */
  deleteUpload(key: UploadKey): Promise<boolean>;
  listUploads(): AsyncIterable<StoredStat & UploadKey>;

  readRecord(collection: RecordCollection, name: string): Promise<Uint8Array | undefined>;
  writeRecord(collection: RecordCollection, name: string, value: Uint8Array): Promise<void>;
  /** Makes a record as young as if it had just been written; false if there is none. */
  touchRecord(collection: RecordCollection, name: string): Promise<boolean>;
  /** Deletes a record; false if there is none. */
  deleteRecord(collection: RecordCollection, name: string): Promise<boolean>;
  /** All records of a collection, in no particular order. */
  listRecords(collection: RecordCollection): Promise<readonly RecordStat[]>;
  /** All repositories that hold anything, in no particular order. */
  listRepositories(): AsyncIterable<string>;
}
