/**
 * A registry that lives in memory and ends with the process.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { Digest } from "../oci/index.ts";
import type {
  ContentReader,
  RecordCollection,
  RecordStat,
  RegistryStorage,
  StoredStat,
  UploadKey,
  UploadWriter,
} from "./registry-storage.ts";
import { MemoryFile } from "./memory-file.ts";

interface StoredRecord {
  readonly value: Uint8Array;
  readonly changedMs: number;
}

/** {@link RegistryStorage} in maps. */
export class MemoryStorage implements RegistryStorage {
  readonly #clock: Clock;
  readonly #content = new Map<Digest, MemoryFile>();
  readonly #uploads = new Map<string, { readonly key: UploadKey; readonly file: MemoryFile }>();
  /** repository -> collection -> name -> record */
  readonly #records = new Map<string, Map<string, Map<string, StoredRecord>>>();

  constructor(options: { readonly clock: Clock }) {
    this.#clock = options.clock;
  }

  async statContent(digest: Digest): Promise<StoredStat | undefined> {
    return this.#content.get(digest)?.stat();
  }

  async openContent(digest: Digest): Promise<ContentReader | undefined> {
    return this.#content.get(digest);
  }

  async writeContent(digest: Digest, bytes: Uint8Array): Promise<void> {
    const file = new MemoryFile(this.#clock);
    await file.append([bytes.slice()]);
    this.#content.set(digest, file);
  }

  async deleteContent(digest: Digest): Promise<void> {
    this.#content.delete(digest);
  }

  async *listContent(): AsyncIterable<StoredStat & { readonly digest: Digest }> {
    for (const [digest, file] of this.#content) yield { digest, ...file.stat() };
  }

  async createUpload(key: UploadKey): Promise<void> {
    this.#uploads.set(uploadName(key), { key, file: new MemoryFile(this.#clock) });
  }

  async openUpload(key: UploadKey): Promise<UploadWriter | undefined> {
    return this.#uploads.get(uploadName(key))?.file;
  }

  async commitUpload(key: UploadKey, digest: Digest): Promise<void> {
    const upload = this.#uploads.get(uploadName(key));
    this.#uploads.delete(uploadName(key));
    if (upload === undefined) return;
    upload.file.touch();
    this.#content.set(digest, upload.file);
  }

  async deleteUpload(key: UploadKey): Promise<boolean> {
    return this.#uploads.delete(uploadName(key));
  }

  async *listUploads(): AsyncIterable<StoredStat & UploadKey> {
    for (const { key, file } of this.#uploads.values()) yield { ...key, ...file.stat() };
  }

  async readRecord(collection: RecordCollection, name: string): Promise<Uint8Array | undefined> {
    return this.#collection(collection)?.get(name)?.value;
  }

  async writeRecord(collection: RecordCollection, name: string, value: Uint8Array): Promise<void> {
    const collections = getOrCreate(this.#records, collection.repository, () => new Map());
    const records = getOrCreate(collections, collectionName(collection), () => new Map());
    records.set(name, { value: value.slice(), changedMs: this.#clock.wallMs() });
  }

  async touchRecord(collection: RecordCollection, name: string): Promise<boolean> {
    const record = this.#collection(collection)?.get(name);
    if (record === undefined) return false;
    await this.writeRecord(collection, name, record.value);
    return true;
  }

  async deleteRecord(collection: RecordCollection, name: string): Promise<boolean> {
    const collections = this.#records.get(collection.repository);
    const records = collections?.get(collectionName(collection));
    if (collections === undefined || records?.delete(name) !== true) return false;
    if (records.size === 0) collections.delete(collectionName(collection));
    if (collections.size === 0) this.#records.delete(collection.repository);
    return true;
  }

  async listRecords(collection: RecordCollection): Promise<readonly RecordStat[]> {
    const records = this.#collection(collection) ?? [];
    return [...records].map(([name, { changedMs }]) => ({ name, changedMs }));
  }

  async *listRepositories(): AsyncIterable<string> {
    yield* this.#records.keys();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#content.clear();
    this.#uploads.clear();
    this.#records.clear();
  }

  #collection(collection: RecordCollection): ReadonlyMap<string, StoredRecord> | undefined {
    return this.#records.get(collection.repository)?.get(collectionName(collection));
  }
}

function uploadName({ repository, id }: UploadKey): string {
  return `${repository}@${id}`;
}

function collectionName(collection: RecordCollection): string {
  return collection.kind === "referrers" ? `referrers/${collection.subject}` : collection.kind;
}

function getOrCreate<K, V>(map: Map<K, V>, key: K, create: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const created = create();
  map.set(key, created);
  return created;
}
