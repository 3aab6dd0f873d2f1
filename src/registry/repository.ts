/**
 * One repository of a registry.
 *
 * @module
 */
import type { BlobSource } from "../blob/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { type Descriptor, type Digest, isRepository, type ManifestContent } from "../oci/index.ts";
import { hasBlob } from "./blob-existence.ts";
import { fetchBlobSize } from "./blob-size.ts";
import { type PushBlobOptions, pushBytes, type PushedBlob, pushStream } from "./blob-push.ts";
import { type CallOptions, ManifestStore, type PushManifestOptions } from "./manifest-store.ts";
import { listReferrers, type ListReferrersOptions, recordReferrer } from "./referrers.ts";
import type { RegistryHost } from "./registry-host.ts";
import { type BlobTarget, RemoteBlob } from "./remote-blob.ts";
import { listTags } from "./tag-list.ts";
import { repositoryScope } from "./token-scope.ts";
import { openUploadSession } from "./upload-session.ts";

/** How a blob is mounted. */
export interface MountBlobOptions extends CallOptions {
  /** The repository of the same registry that has the blob. */
  readonly from: string;
}

/**
 * Manifests, blobs, tags and referrers of one repository. Reads go to mirrors first, writes to the registry. Every call
 * retries what passes with time, and verifies every digest.
 *
 * Errors of all calls: `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `REGISTRY_NOT_FOUND`, `REGISTRY_RATE_LIMITED`,
 * `REGISTRY_UNAVAILABLE`, `REGISTRY_PROTOCOL`, `NETWORK_FAILED`, `TIMED_OUT`, `CREDENTIALS_INVALID`; the signal's reason on abort.
 */
export class Repository {
  readonly registry: string;
  readonly repository: string;
  readonly #host: RegistryHost;
  readonly #manifests: ManifestStore;

  /**
   * Use {@linkcode RegistryClient.repository}.
   *
   * @throws {EsgzError} `REFERENCE_INVALID` for a repository name that is none.
   */
  constructor(host: RegistryHost, repository: string) {
    if (!isRepository(repository)) {
      throw new EsgzError(
        "REFERENCE_INVALID",
        `Cannot use repository "${repository}": expected a path in lower case`,
      );
    }
    this.registry = host.registry;
    this.repository = repository;
    this.#host = host;
    this.#manifests = new ManifestStore(host, repository);
  }

  /**
   * Makes connections for so many requests at once, before there is anything to ask: they go out without waiting for one. Whoever
   * reads first has one of them. Never fails: what cannot be had now is found out by who asks.
   */
  connectAhead(count: number): void {
    const [endpoint] = this.#host.readOrder();
    endpoint?.connectAhead(count).catch(() => undefined);
  }

  /** How many places are asked in turn now: mirrors, without those that failed lately, and the registry itself. */
  get readPlaces(): number {
    return this.#host.readOrder().length;
  }

  /** Makes connections for reads of blobs that will come at once, where blobs were read last. Never fails, as above. */
  connectToBlobs(count: number): void {
    const [endpoint] = this.#host.readOrder();
    endpoint?.connectAhead(count, endpoint.blobsAt).catch(() => undefined);
  }

  /** The descriptor of a tag or digest, without fetching the manifest where the registry allows it. */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    return await this.#manifests.resolve(reference, options);
  }

  /**
   * A manifest or index by tag or digest.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH`, `LIMIT_EXCEEDED`, `MANIFEST_INVALID` beside the common codes.
   */
  async fetchManifest(reference: string, options: CallOptions = {}): Promise<ManifestContent> {
    return await this.#manifests.fetch(reference, options);
  }

  /**
   * Pushes a manifest or index whose blobs the repository has. For a manifest with a `subject`, the index of referrers is kept
   * under its tag where the registry does not keep it itself.
   *
   * @throws {EsgzError} `MANIFEST_INVALID` if the registry misses blobs or refuses the content.
   */
  async pushManifest(bytes: Uint8Array, options: PushManifestOptions): Promise<Descriptor> {
    const { descriptor, subjectIndexed } = await this.#manifests.push(bytes, options);
    if (!subjectIndexed) await recordReferrer(this.#place, { descriptor, bytes }, options);
    return descriptor;
  }

  /** Deletes a manifest by digest; also a tag where the registry allows it. */
  async deleteManifest(reference: string, options: CallOptions = {}): Promise<void> {
    await this.#manifests.delete(reference, options);
  }

  /**
   * A blob, read by absolute ranges. Costs nothing before the first read.
   *
   * Reads throw `NOT_SUPPORTED` if the server ignores ranges and the range begins far into the blob, `SIZE_MISMATCH` if
   * the blob has another size than the descriptor says, and `DIGEST_MISMATCH` when the whole blob was read and is another.
   */
  openBlob(target: BlobTarget): BlobSource {
    return new RemoteBlob({ host: this.#host, repository: this.repository }, target);
  }

  /**
   * The size of a blob, in bytes, of which no descriptor is at hand.
   *
   * @throws {EsgzError} `REGISTRY_PROTOCOL` if the server does not tell, beside the common codes.
   */
  async fetchBlobSize(digest: Digest, options: CallOptions = {}): Promise<number> {
    return await fetchBlobSize(this.#placeFor(options), digest);
  }

  /** Whether the registry (not a mirror) has a blob in this repository. */
  async hasBlob(digest: Digest, options: CallOptions = {}): Promise<boolean> {
    return await hasBlob(this.#placeFor(options), digest);
  }

  /** Makes a blob of another repository appear in this one without sending it; false where the registry would not. */
  async mountBlob(digest: Digest, options: MountBlobOptions): Promise<boolean> {
    try {
      const mount = { digest, from: options.from };
      const session = await openUploadSession(this.#placeFor(options), mount);
      await session?.cancel();
      return session === undefined;
    } catch (error) {
      // A mount saves time and nothing else; the push that follows reports what is really wrong.
      const refusals = [
        "REGISTRY_DENIED",
        "REGISTRY_NOT_FOUND",
        "REGISTRY_UNAUTHORIZED",
        "NOT_SUPPORTED",
      ] as const;
      if (refusals.some((code) => isEsgzError(error, code))) return false;
      throw error;
    }
  }

  /**
   * Pushes a blob. A stream is sent as it comes, in chunks that can be resumed; memory is bounded by two chunks.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH` or `SIZE_MISMATCH` if the bytes are not what the options promise (nothing is left
   * behind then), `UPLOAD_INVALID` if the registry lost the session.
   */
  async pushBlob(
    content: Uint8Array | AsyncIterable<Uint8Array>,
    options: PushBlobOptions = {},
  ): Promise<PushedBlob> {
    const place = this.#placeFor(options);
    if (content instanceof Uint8Array) return await pushBytes(place, content, options);
    return await pushStream(place, content, options);
  }

  /** Deletes a blob, where the registry allows it. */
  async deleteBlob(digest: Digest, options: CallOptions = {}): Promise<void> {
    await this.#host.write(async (endpoint) => {
      const response = await endpoint.send({
        method: "DELETE",
        url: endpoint.urlOf(`${this.repository}/blobs/${digest}`),
        scopes: [repositoryScope(this.repository, ["pull", "push", "delete"])],
        repository: this.repository,
        signal: options.signal,
      });
      if (!response.ok)
        throw await this.#host.failure(response, `delete blob "${digest}" of ${this.repository}`);
      await response.discard();
    }, options.signal);
  }

  /** All tags, in the registry's order, page by page. */
  listTags(options: CallOptions = {}): AsyncIterable<string> {
    return listTags(this.#host, this.repository, options);
  }

  /** What refers to a manifest; by the tag schema where the registry has no referrers API. */
  async listReferrers(digest: Digest, options: ListReferrersOptions = {}): Promise<readonly Descriptor[]> {
    return await listReferrers(this.#place, digest, options);
  }

  get #place(): { host: RegistryHost; repository: string; manifests: ManifestStore } {
    return { host: this.#host, repository: this.repository, manifests: this.#manifests };
  }

  #placeFor({ signal }: CallOptions): {
    host: RegistryHost;
    repository: string;
    signal: AbortSignal | undefined;
  } {
    return { host: this.#host, repository: this.repository, signal };
  }
}
