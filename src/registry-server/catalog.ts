/**
 * What repositories hold: blobs, manifests, tags and referrers, over any storage.
 *
 * Content is shared between repositories; a repository sees only what it has a link to. Writes happen inside a gate
 * that garbage collection and deletion close, so that nothing is swept between the check that it is there and the
 * record that needs it.
 *
 * @module
 */
import { Semaphore } from "../async/index.ts";
import { decodeUtf8, encodeUtf8, NO_BYTES } from "../bytes/index.ts";
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  isDigest,
  isTag,
  parseDescriptor,
  parseDigest,
} from "../oci/index.ts";
import { digestOf } from "./digest-of.ts";
import { type ManifestReferences, parseReferences } from "./manifest-references.ts";
import { RegistryProblem } from "./registry-problem.ts";
import type { ContentReader, RegistryStorage, StoredStat } from "./registry-storage.ts";

/** A manifest as a repository knows it. */
export interface StoredManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/** A manifest on its way in. */
export interface IncomingManifest {
  readonly bytes: Uint8Array;
  /** As the client stated it, without parameters. */
  readonly mediaType: string | undefined;
  /** A tag or a digest. */
  readonly reference: string;
  /** Further tags. */
  readonly tags: readonly string[];
}

/** What became of an incoming manifest. */
export interface AcceptedManifest {
  readonly digest: Digest;
  readonly subject: Digest | undefined;
}

// Shared holders take 1 unit, an exclusive one takes them all.
const GATE_CAPACITY = 1 << 20;

/** The repositories of one registry. */
export class Catalog {
  readonly storage: RegistryStorage;
  readonly #gate = new Semaphore(GATE_CAPACITY);
  #watched: Set<Digest> | undefined;

  constructor(storage: RegistryStorage) {
    this.storage = storage;
  }

  /** Runs a write that may go on beside other writes. */
  async shared<T>(work: () => Promise<T>): Promise<T> {
    return await this.#gate.run(work);
  }

  /** Runs a write that must be alone. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    return await this.#gate.run(work, { weight: GATE_CAPACITY });
  }

  /** Begins to note every digest that somebody asks for or writes; the set grows until {@linkcode stopWatching}. */
  watch(): ReadonlySet<Digest> {
    this.#watched = new Set();
    return this.#watched;
  }

  /** Ends what {@linkcode watch} began. */
  stopWatching(): void {
    this.#watched = undefined;
  }

  /** A blob that the repository links, or undefined. Asking keeps an unused blob from being swept soon. */
  async statBlob(repository: string, digest: Digest): Promise<StoredStat | undefined> {
    this.#watched?.add(digest);
    if (!(await this.#hasBlob(repository, digest))) return undefined;
    await this.storage.touchRecord({ repository, kind: "blobs" }, digest);
    return await this.storage.statContent(digest);
  }

  /** Opens a blob that the repository links. */
  async openBlob(repository: string, digest: Digest): Promise<ContentReader | undefined> {
    if (!(await this.#hasBlob(repository, digest))) return undefined;
    return await this.storage.openContent(digest);
  }

  /** Makes content visible in a repository. Call it inside {@linkcode Catalog.shared}. */
  async linkBlob(repository: string, digest: Digest): Promise<void> {
    this.#watched?.add(digest);
    await this.storage.writeRecord({ repository, kind: "blobs" }, digest, NO_BYTES);
  }

  /** Links a blob of another repository; false if that has no such blob. */
  async mountBlob(repository: string, digest: Digest, from: string): Promise<boolean> {
    return await this.shared(async () => {
      if ((await this.statBlob(from, digest)) === undefined) return false;
      await this.linkBlob(repository, digest);
      return true;
    });
  }

  /** Removes a blob from a repository; false if it was not there. Its bytes stay until garbage is collected. */
  async unlinkBlob(repository: string, digest: Digest): Promise<boolean> {
    return await this.storage.deleteRecord({ repository, kind: "blobs" }, digest);
  }

  /** The digest that a reference means in a repository, or undefined. */
  async resolve(repository: string, reference: string): Promise<Digest | undefined> {
    if (isDigest(reference)) return reference;
    const record = await this.storage.readRecord({ repository, kind: "tags" }, reference);
    return record === undefined ? undefined : parseDigest(decodeUtf8(record));
  }

  /** A manifest by tag or digest, or undefined. */
  async readManifest(repository: string, reference: string): Promise<StoredManifest | undefined> {
    const digest = await this.resolve(repository, reference);
    if (digest === undefined) return undefined;
    const record = await this.storage.readRecord({ repository, kind: "manifests" }, digest);
    if (record === undefined) return undefined;
    await using reader = await this.storage.openContent(digest);
    if (reader === undefined) return undefined;
    const bytes = new Uint8Array(reader.size);
    await reader.read(bytes, 0);
    return { digest, mediaType: decodeUtf8(record), bytes };
  }

  /**
   * Checks a manifest and stores it.
   *
   * @throws {EsgzError} `MANIFEST_INVALID`
   * @throws {RegistryProblem} `DIGEST_INVALID`, `MANIFEST_BLOB_UNKNOWN`
   */
  async writeManifest(repository: string, incoming: IncomingManifest): Promise<AcceptedManifest> {
    const { bytes, mediaType, reference } = incoming;
    const references = parseReferences(bytes, mediaType);
    const digest = isDigest(reference) ? checkedDigest(bytes, reference) : digestOf(bytes);
    await this.shared(async () => {
      this.#watched?.add(digest);
      await this.#assertReferencesExist(repository, references);
      await this.storage.writeContent(digest, bytes);
      // The manifest's own record makes the rest visible, so it comes after what belongs to it.
      await this.#writeReferrer(repository, { digest, size: bytes.length }, references);
      const type = encodeUtf8(references.mediaType);
      await this.storage.writeRecord({ repository, kind: "manifests" }, digest, type);
      const tags = isDigest(reference) ? incoming.tags : [reference, ...incoming.tags];
      for (const tag of tags) {
        await this.storage.writeRecord({ repository, kind: "tags" }, tag, encodeUtf8(digest));
      }
    });
    return { digest, subject: references.subject };
  }

  /** Deletes a tag; false if it was not there. */
  async deleteTag(repository: string, tag: string): Promise<boolean> {
    return await this.exclusive(() => this.storage.deleteRecord({ repository, kind: "tags" }, tag));
  }

  /** Deletes a manifest with its tags and its place among the referrers; false if it was not there. */
  async deleteManifest(repository: string, digest: Digest): Promise<boolean> {
    return await this.exclusive(() => this.dropManifest(repository, digest));
  }

  /** {@linkcode Catalog.deleteManifest} for callers who are alone already. */
  async dropManifest(repository: string, digest: Digest): Promise<boolean> {
    const manifest = await this.readManifest(repository, digest);
    for (const { name } of await this.storage.listRecords({ repository, kind: "tags" })) {
      if ((await this.resolve(repository, name)) !== digest) continue;
      await this.storage.deleteRecord({ repository, kind: "tags" }, name);
    }
    const subject = manifest === undefined ? undefined : parseReferences(manifest.bytes).subject;
    if (subject !== undefined) {
      await this.storage.deleteRecord({ repository, kind: "referrers", subject }, digest);
    }
    return await this.storage.deleteRecord({ repository, kind: "manifests" }, digest);
  }

  /** The tags of a repository in ASCII order; undefined if there is no such repository. */
  async listTags(repository: string): Promise<readonly string[] | undefined> {
    const records = await this.storage.listRecords({ repository, kind: "tags" });
    const tags = records.map(({ name }) => name).filter(isTag);
    if (tags.length === 0 && !(await this.#exists(repository))) return undefined;
    return tags.sort();
  }

  /** All repositories in ASCII order. */
  async listRepositories(): Promise<readonly string[]> {
    const names = [];
    for await (const name of this.storage.listRepositories()) names.push(name);
    return names.sort();
  }

  /** Descriptors of the manifests in the repository that name `subject` as theirs, in the order of their digests. */
  async listReferrers(repository: string, subject: Digest): Promise<readonly Descriptor[]> {
    const collection = { repository, kind: "referrers", subject } as const;
    const descriptors = [];
    for (const { name } of await this.storage.listRecords(collection)) {
      const record = await this.storage.readRecord(collection, name);
      const manifest = await this.storage.readRecord({ repository, kind: "manifests" }, name);
      if (record === undefined || manifest === undefined) continue;
      descriptors.push(parseDescriptor(JSON.parse(decodeUtf8(record))));
    }
    return descriptors.sort((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  async #hasBlob(repository: string, digest: Digest): Promise<boolean> {
    if ((await this.storage.readRecord({ repository, kind: "blobs" }, digest)) !== undefined) return true;
    return (await this.storage.readRecord({ repository, kind: "manifests" }, digest)) !== undefined;
  }

  async #exists(repository: string): Promise<boolean> {
    for (const kind of ["manifests", "blobs"] as const) {
      if ((await this.storage.listRecords({ repository, kind })).length > 0) return true;
    }
    return false;
  }

  async #assertReferencesExist(repository: string, references: ManifestReferences): Promise<void> {
    for (const digest of [...references.blobs, ...references.manifests]) {
      if ((await this.statBlob(repository, digest)) !== undefined) continue;
      throw new RegistryProblem("MANIFEST_BLOB_UNKNOWN", `"${repository}" has no ${digest}`, {
        detail: { digest },
      });
    }
  }

  async #writeReferrer(
    repository: string,
    { digest, size }: { readonly digest: Digest; readonly size: number },
    { subject, mediaType, artifactType, annotations }: ManifestReferences,
  ): Promise<void> {
    if (subject === undefined) return;
    const descriptor = { mediaType, digest, size, artifactType, annotations };
    const value = encodeUtf8(JSON.stringify(descriptor));
    await this.storage.writeRecord({ repository, kind: "referrers", subject }, digest, value);
  }
}

function checkedDigest(bytes: Uint8Array, expected: Digest): Digest {
  const found = digestOf(bytes, algorithmOf(expected));
  if (found === expected) return found;
  throw new RegistryProblem("DIGEST_INVALID", `expected digest ${expected}, got ${found}`, {
    detail: { expected, found },
  });
}
