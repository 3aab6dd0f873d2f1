/**
 * One upload session: opened by POST, fed by PATCH, closed by PUT, given up by DELETE.
 *
 * ```text
 * POST   <name>/blobs/uploads/          202  Location, OCI-Chunk-Min-Length
 * PATCH  Location   Content-Range a-b   202  Location, Range 0-b     (each chunk)
 * GET    Location                       204  Location, Range 0-n     (after a break)
 * PUT    Location?digest=               201  Docker-Content-Digest
 * DELETE Location                       204
 * ```
 *
 * Source: OCI distribution specification 1.1, "Pushing blobs".
 *
 * @module
 */
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { type Digest, digestMismatch, isDigest } from "../oci/index.ts";
import { hasBlob } from "./blob-existence.ts";
import { parseContentLength, parseUploadRange } from "./content-range.ts";
import type { EndpointRequest } from "./endpoint.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RegistryHost } from "./registry-host.ts";
import type { RetryBudget } from "./retry-budget.ts";
import { repositoryScope } from "./token-scope.ts";

/** Where blobs are pushed to. */
export interface UploadPlace {
  readonly host: RegistryHost;
  readonly repository: string;
  readonly signal: AbortSignal | undefined;
}

/** Nobody waits long for a registry to note that an upload was given up. */
const CLEANUP_TIMEOUT_MS = 5_000;
const OCTETS = "application/octet-stream";

/** A session that the registry has opened. */
export class UploadSession {
  /** The smallest chunk that the registry takes (but for the last one), in bytes. */
  readonly minChunkSize: number;
  readonly #place: UploadPlace;
  readonly #budget: RetryBudget;
  #location: URL;
  #received = 0;

  /** Use {@linkcode openUploadSession}. */
  constructor(place: UploadPlace, opened: { readonly location: URL; readonly minChunkSize: number }) {
    this.#place = place;
    this.#location = opened.location;
    this.minChunkSize = opened.minChunkSize;
    this.#budget = place.host.budgetFor(place.host.upstream);
  }

  /**
   * Sends the next chunk; after a break, asks how much has arrived and goes on from there.
   *
   * @throws {EsgzError} `UPLOAD_INVALID` if the session is gone or has lost bytes.
   */
  async append(chunk: Uint8Array): Promise<void> {
    const start = this.#received;
    const end = start + chunk.length;
    let realigned = false;
    while (this.#received < end) {
      try {
        await this.#patch(chunk.subarray(this.#received - start));
        this.#budget.progress(chunk.length);
      } catch (error) {
        this.#place.signal?.throwIfAborted();
        const misaligned = isEsgzError(error) && error.details["status"] === 416;
        if (!misaligned) await this.#budget.pauseAfter(error, this.#place.signal);
        else if (realigned || start === 0) throw error;
        realigned ||= misaligned;
        await this.#recover({ from: start, to: end });
      }
    }
  }

  /** Sends a stream in one request of unknown size. It cannot be resumed. Rejects with the stream's own error. */
  async appendStream(content: AsyncIterable<Uint8Array>): Promise<void> {
    const source: { failure?: { readonly error: unknown } } = {};
    const body = watched(content, source);
    try {
      const response = await this.#send({ method: "PATCH", headers: { "content-type": OCTETS }, body });
      if (!response.ok) throw await this.#failure(response);
      await this.#advance(response);
    } catch (error) {
      throw source.failure === undefined ? error : source.failure.error;
    }
  }

  /**
   * Closes the session after its chunks; tries again where that can help.
   *
   * @throws {EsgzError} `DIGEST_MISMATCH` if the registry computed another digest.
   */
  async finish(digest: Digest): Promise<void> {
    for (;;) {
      try {
        await this.put(digest, new Uint8Array(0));
        return;
      } catch (error) {
        this.#place.signal?.throwIfAborted();
        await this.#budget.pauseAfter(error, this.#place.signal);
        // The answer may have been lost after the registry had accepted the blob.
        if (await hasBlob(this.#place, digest)) return;
        await this.#recover({ from: this.#received, to: this.#received });
      }
    }
  }

  /** Closes the session with the bytes that are missing, in one try. Errors as {@linkcode UploadSession.finish}. */
  async put(digest: Digest, rest: Uint8Array): Promise<void> {
    const url = new URL(this.#location);
    // Appended as text: the registry's own parameters may be signed as they are written.
    url.search += `${url.search === "" ? "?" : "&"}digest=${encodeURIComponent(digest)}`;
    const response = await this.#send({
      method: "PUT",
      url,
      headers: { "content-type": OCTETS },
      body: rest,
    });
    if (response.status !== 201 && response.status !== 204) throw await this.#failure(response);
    await response.discard();
    const stated = response.header("docker-content-digest");
    if (isDigest(stated) && stated !== digest) throw digestMismatch("pushed blob", digest, stated);
  }

  /** Tells the registry that nothing more will come. Never throws; takes at most a few seconds. */
  async cancel(): Promise<void> {
    const { host, repository } = this.#place;
    const request = { method: "DELETE", url: this.#location, stallTimeoutMs: CLEANUP_TIMEOUT_MS } as const;
    const scopes = [repositoryScope(repository, ["pull", "push"])];
    await host.upstream
      .send({ ...request, scopes, repository })
      .then((response) => response.discard())
      .catch(() => undefined);
  }

  async #patch(bytes: Uint8Array): Promise<void> {
    const first = this.#received;
    const end = first + bytes.length;
    const response = await this.#send({
      method: "PATCH",
      headers: { "content-type": OCTETS, "content-range": `${first}-${end - 1}` },
      body: bytes,
    });
    if (!response.ok) throw await this.#failure(response);
    await this.#advance(response);
    const stated = response.header("range");
    const received = stated === undefined ? end : parseUploadRange(stated);
    if (received === undefined || received <= first || received > end) {
      throw this.#invalid(`bytes up to ${end} to be taken`, `"${stated ?? ""}"`);
    }
    this.#received = received;
  }

  /** Asks how much has arrived. */
  async #recover(window: { readonly from: number; readonly to: number }): Promise<void> {
    await this.#place.host.attempt(
      async () => {
        const response = await this.#send({ method: "GET" });
        if (!response.ok) throw await this.#failure(response);
        await this.#advance(response);
        const received = parseUploadRange(response.header("range"));
        if (received === undefined || received < window.from || received > window.to) {
          throw this.#invalid(`${window.from} to ${window.to} bytes to have arrived`, String(received));
        }
        this.#received = received;
      },
      { signal: this.#place.signal, mirror: false },
    );
  }

  async #advance(response: HttpResponse): Promise<void> {
    await response.discard();
    const location = response.header("location");
    if (location === undefined) return;
    this.#location = this.#place.host.upstream.resolveLocation(location, this.#location);
  }

  async #send(request: Omit<EndpointRequest, "url"> & { readonly url?: URL }): Promise<HttpResponse> {
    const { host, repository, signal } = this.#place;
    const scopes = [repositoryScope(repository, ["pull", "push"])];
    return await host.upstream.send({ url: this.#location, ...request, scopes, repository, signal });
  }

  async #failure(response: HttpResponse): Promise<EsgzError> {
    const failure = await this.#place.host.failure(response, `push blob to ${this.#name}`);
    if (response.status !== 404 || failure.code === "UPLOAD_INVALID") return failure;
    return new EsgzError("UPLOAD_INVALID", failure.message, { cause: failure, details: failure.details });
  }

  #invalid(expected: string, found: string): EsgzError {
    return new EsgzError(
      "UPLOAD_INVALID",
      `Cannot push blob to ${this.#name}: expected ${expected}, got ${found}`,
    );
  }

  get #name(): string {
    return `"${this.#place.host.registry}/${this.#place.repository}"`;
  }
}

/** The same stream; its failure is written down, since it comes back dressed as one of the connection. */
async function* watched(
  content: AsyncIterable<Uint8Array>,
  source: { failure?: { readonly error: unknown } },
): AsyncIterable<Uint8Array> {
  try {
    yield* content;
  } catch (error) {
    source.failure = { error };
    throw error;
  }
}

/** Asks the registry to mount a blob from another repository. */
export interface MountRequest {
  readonly digest: Digest;
  readonly from: string;
}

/**
 * Opens a session, or mounts the blob and opens none.
 *
 * @returns undefined if the blob was mounted.
 */
export async function openUploadSession(
  place: UploadPlace,
  mount?: MountRequest,
): Promise<UploadSession | undefined> {
  const { host, repository, signal } = place;
  const query = mount === undefined ? undefined : { mount: mount.digest, from: mount.from };
  const scopes = [repositoryScope(repository, ["pull", "push"])];
  if (mount !== undefined) scopes.push(repositoryScope(mount.from, ["pull"]));
  return await host.write(async (endpoint) => {
    const url = endpoint.urlOf(`${repository}/blobs/uploads/`, query);
    const body = new Uint8Array(0);
    const response = await endpoint.send({ method: "POST", url, body, scopes, repository, signal });
    if (mount !== undefined && response.status === 201) {
      await response.discard();
      const stated = response.header("docker-content-digest");
      if (isDigest(stated) && stated !== mount.digest)
        throw digestMismatch("mounted blob", mount.digest, stated);
      return undefined;
    }
    if (response.status !== 202) {
      throw await host.failure(response, `push blob to "${host.registry}/${repository}"`);
    }
    await response.discard();
    return new UploadSession(place, {
      location: endpoint.resolveLocation(response.header("location"), url),
      minChunkSize: parseContentLength(response.header("oci-chunk-min-length")) ?? 0,
    });
  }, signal);
}
