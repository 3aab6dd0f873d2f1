/**
 * Manifests of one repository: by tag or digest, checked before they are believed.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { EsgzError } from "../errors/index.ts";
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  type DigestAlgorithm,
  digestMismatch,
  isDigest,
  isTag,
  type ManifestContent,
  manifestMediaTypeOf,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
} from "../oci/index.ts";
import { parseContentLength } from "./content-range.ts";
import type { Endpoint } from "./endpoint.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RegistryHost } from "./registry-host.ts";
import { type RepositoryAction, repositoryScope } from "./token-scope.ts";

/** The media types asked for. */
const ACCEPT = [
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.dockerIndex,
  MEDIA_TYPES.dockerManifest,
].join(", ");

/** The options of every call. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How a manifest is pushed. */
export interface PushManifestOptions extends CallOptions {
  readonly mediaType: string;
  /** A tag, or the digest of the bytes. Default: their sha256. */
  readonly reference?: string | undefined;
}

/** A pushed manifest, and whether the registry indexes its `subject` itself. */
export interface PushedManifest {
  readonly descriptor: Descriptor;
  readonly subjectIndexed: boolean;
}

/** The manifests of a repository. */
export class ManifestStore {
  readonly #host: RegistryHost;
  readonly #repository: string;

  constructor(host: RegistryHost, repository: string) {
    this.#host = host;
    this.#repository = repository;
  }

  /** The descriptor of a tag or digest: HEAD, or GET where its answer lacks what is needed. */
  async resolve(reference: string, options: CallOptions = {}): Promise<Descriptor> {
    const wanted = checkedReference(reference);
    const found = await this.#host.read((endpoint) => this.#head(endpoint, wanted, options), options.signal);
    return found ?? (await this.fetch(reference, options)).descriptor;
  }

  /** A manifest or index with its bytes. */
  async fetch(reference: string, options: CallOptions = {}): Promise<ManifestContent> {
    const wanted = checkedReference(reference);
    return await this.#host.read((endpoint) => this.#get(endpoint, wanted, options), options.signal);
  }

  /** Uploads a manifest. */
  async push(bytes: Uint8Array, options: PushManifestOptions): Promise<PushedManifest> {
    const digest = digestOf(bytes, "sha256");
    const reference = checkedReference(options.reference ?? digest);
    if (bytes.length > MAX_MANIFEST_BYTES) throw tooLarge(reference, bytes.length);
    if (isDigest(reference)) assertDigest(bytes, reference, this.#repository);
    return await this.#host.write(async (endpoint) => {
      const response = await endpoint.send({
        method: "PUT",
        url: this.#urlOf(endpoint, reference),
        headers: { "content-type": options.mediaType },
        body: bytes,
        ...this.#access(["pull", "push"], options),
      });
      if (!response.ok) throw await this.#host.failure(response, `push manifest ${this.#nameOf(reference)}`);
      await response.discard();
      const stated = response.header("docker-content-digest");
      if (isDigest(stated)) assertDigest(bytes, stated, this.#repository);
      return {
        descriptor: { mediaType: options.mediaType, digest, size: bytes.length },
        subjectIndexed: response.header("oci-subject") !== undefined,
      };
    }, options.signal);
  }

  /** Deletes a manifest by digest, or a tag where the registry allows it. */
  async delete(reference: string, options: CallOptions = {}): Promise<void> {
    const wanted = checkedReference(reference);
    await this.#host.write(async (endpoint) => {
      const response = await endpoint.send({
        method: "DELETE",
        url: this.#urlOf(endpoint, wanted),
        ...this.#access(["pull", "push", "delete"], options),
      });
      if (!response.ok) throw await this.#host.failure(response, `delete manifest ${this.#nameOf(wanted)}`);
      await response.discard();
    }, options.signal);
  }

  /** Undefined where only a GET can tell. */
  async #head(endpoint: Endpoint, reference: string, options: CallOptions): Promise<Descriptor | undefined> {
    const response = await endpoint.send({
      method: "HEAD",
      url: this.#urlOf(endpoint, reference),
      headers: { accept: ACCEPT },
      ...this.#access(["pull"], options),
    });
    await response.discard();
    if ([400, 403, 405, 501].includes(response.status)) return undefined;
    if (!response.ok) throw await this.#host.failure(response, `resolve ${this.#nameOf(reference)}`);
    const stated = response.header("docker-content-digest");
    const size = parseContentLength(response.header("content-length"));
    const mediaType = mediaTypeOf(response);
    if (!isDigest(stated) || size === undefined || mediaType === undefined) return undefined;
    if (isDigest(reference) && stated !== reference && algorithmOf(stated) === algorithmOf(reference)) {
      throw digestMismatch(`manifest of ${this.#repository}`, reference, stated);
    }
    if (size > MAX_MANIFEST_BYTES) throw tooLarge(reference, size);
    return { mediaType, digest: isDigest(reference) ? reference : stated, size };
  }

  async #get(endpoint: Endpoint, reference: string, options: CallOptions): Promise<ManifestContent> {
    const response = await endpoint.send({
      method: "GET",
      url: this.#urlOf(endpoint, reference),
      headers: { accept: ACCEPT },
      ...this.#access(["pull"], options),
    });
    if (!response.ok) throw await this.#host.failure(response, `fetch manifest ${this.#nameOf(reference)}`);
    const size = parseContentLength(response.header("content-length")) ?? 0;
    if (size > MAX_MANIFEST_BYTES) {
      response.abandon();
      throw tooLarge(reference, size);
    }
    const bytes = await response.bytes(MAX_MANIFEST_BYTES);
    const stated = response.header("docker-content-digest");
    if (isDigest(stated)) assertDigest(bytes, stated, this.#repository);
    if (isDigest(reference)) assertDigest(bytes, reference, this.#repository);
    const digest = [reference, stated].find(isDigest) ?? digestOf(bytes, "sha256");
    const mediaType = manifestMediaTypeOf(bytes, mediaTypeOf(response));
    return { descriptor: { mediaType, digest, size: bytes.length }, bytes };
  }

  #urlOf(endpoint: Endpoint, reference: string): URL {
    return endpoint.urlOf(`${this.#repository}/manifests/${reference}`);
  }

  #access(
    actions: readonly RepositoryAction[],
    { signal }: CallOptions,
  ): { scopes: string[]; repository: string; signal: AbortSignal | undefined } {
    return { scopes: [repositoryScope(this.#repository, actions)], repository: this.#repository, signal };
  }

  #nameOf(reference: string): string {
    const separator = isDigest(reference) ? "@" : ":";
    return `"${this.#host.registry}/${this.#repository}${separator}${reference}"`;
  }
}

/** The digest of bytes. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm): Digest {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

function assertDigest(bytes: Uint8Array, expected: Digest, repository: string): void {
  const found = digestOf(bytes, algorithmOf(expected));
  if (found !== expected) throw digestMismatch(`manifest of ${repository}`, expected, found);
}

/** The media type without parameters; undefined for none and for the generic ones. */
function mediaTypeOf(response: HttpResponse): string | undefined {
  const type = (response.header("content-type") ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  return type === "" ||
    type === "application/json" ||
    type === "text/plain" ||
    type === "application/octet-stream"
    ? undefined
    : type;
}

function checkedReference(reference: string): string {
  if (isDigest(reference) || isTag(reference)) return reference;
  throw new EsgzError("REFERENCE_INVALID", `Cannot use reference "${reference}": expected a tag or a digest`);
}

function tooLarge(reference: string, size: number): EsgzError {
  return new EsgzError(
    "LIMIT_EXCEEDED",
    `Cannot accept manifest "${reference}": expected at most ${MAX_MANIFEST_BYTES} bytes, got ${size}`,
  );
}
