/**
 * One ranged GET of a blob, with everything that servers do instead of answering it.
 *
 * | answer                        | here                                                               |
 * | ----------------------------- | ------------------------------------------------------------------ |
 * | 206, `Content-Range` as asked | passed on; may end early                                           |
 * | 206, another or no range      | `REGISTRY_PROTOCOL`                                                |
 * | 200                           | the head is skipped, up to a limit; beyond it `NOT_SUPPORTED`      |
 * | another total size            | `SIZE_MISMATCH`                                                    |
 * | a content encoding            | `REGISTRY_PROTOCOL`                                                |
 * | 401, 403, 404, 410 of a known redirect target | the registry is asked again, once                  |
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { encodeRangeHeader, parseContentLength, parseContentRange } from "./content-range.ts";
import type { Endpoint, EndpointRequest } from "./endpoint.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RegistryHost } from "./registry-host.ts";
import { repositoryScope } from "./token-scope.ts";

/** What to get and from where. */
export interface RangeRequest {
  readonly endpoint: Endpoint;
  readonly host: RegistryHost;
  readonly repository: string;
  readonly digest: Digest;
  /** Of the whole blob. */
  readonly size: number;
  /** Not empty, inside the blob. */
  readonly range: ByteRange;
  /** Redirect targets known so far; kept up to date. */
  readonly redirects: Map<Endpoint, URL>;
  readonly signal: AbortSignal | undefined;
}

/** A server that ignores ranges may be made to send this many bytes for nothing. */
const MAX_SKIPPED_BYTES = 64 << 20;
const EXPIRED: ReadonlySet<number> = new Set([400, 401, 403, 404, 410]);

/**
 * Streams the range; ends early where the body does. Never passes on more than was asked for.
 *
 * @throws {EsgzError} as the table says; codes of {@linkcode Endpoint.send}; the code of a failed status.
 */
export async function* streamRange(request: RangeRequest): AsyncGenerator<Uint8Array, void, undefined> {
  const { response, cutter } = await openRange(request);
  for await (const chunk of response.body()) {
    const wanted = cutter.cut(chunk);
    if (wanted.length > 0) yield wanted;
    if (cutter.over) return;
  }
}

/** The same as {@linkcode streamRange}, into a function that takes the bytes at once. */
export async function receiveRange(request: RangeRequest, take: (chunk: Uint8Array) => void): Promise<void> {
  const { response, cutter } = await openRange(request);
  await response.pump((chunk) => {
    const wanted = cutter.cut(chunk);
    if (wanted.length > 0) take(wanted);
    return !cutter.over;
  });
}

async function openRange(
  request: RangeRequest,
): Promise<{ readonly response: HttpResponse; readonly cutter: RangeCutter }> {
  const response = await requestRange(request);
  try {
    if (response.status !== 200 && response.status !== 206) {
      throw await request.host.failure(response, `read blob "${request.digest}" of ${request.repository}`);
    }
    return { response, cutter: new RangeCutter(request, checkedSkip(request, response)) };
  } catch (error) {
    response.abandon();
    throw error;
  }
}

async function requestRange(request: RangeRequest): Promise<HttpResponse> {
  const { endpoint, redirects, repository, digest } = request;
  const known = redirects.get(endpoint);
  if (known !== undefined) {
    let isGood = false;
    try {
      const response = await endpoint.send(getRequest(request, known));
      isGood = response.ok;
      if (!EXPIRED.has(response.status)) return response;
      await response.discard();
    } finally {
      // A target that cannot be reached is not asked twice either. Another range may have found a new one meanwhile.
      if (!isGood && redirects.get(endpoint) === known) redirects.delete(endpoint);
    }
  }
  const url = endpoint.urlOf(`${repository}/blobs/${digest}`);
  const response = await endpoint.send(getRequest(request, url));
  if (!response.ok) return response;
  endpoint.blobsAt = response.url;
  if (response.url.href !== url.href) redirects.set(endpoint, response.url);
  return response;
}

function getRequest({ range, repository, size, signal }: RangeRequest, url: URL): EndpointRequest {
  const whole = range.size === size;
  return {
    method: "GET",
    url,
    headers: whole ? {} : { range: encodeRangeHeader(range) },
    range,
    scopes: [repositoryScope(repository, ["pull"])],
    repository,
    signal,
  };
}

/** How many bytes of the body come before the range. */
function checkedSkip(request: RangeRequest, response: HttpResponse): number {
  const { range, size } = request;
  const encoding = response.header("content-encoding") ?? "identity";
  if (encoding.trim().toLowerCase() !== "identity" && encoding.trim() !== "") {
    throw unexpected(
      request,
      "REGISTRY_PROTOCOL",
      "the blob as it is stored",
      `content encoding "${encoding}"`,
    );
  }
  if (response.status === 206) {
    const text = response.header("content-range");
    const found = parseContentRange(text);
    const fits = found !== undefined && found.offset === range.offset && found.size <= range.size;
    if (!fits) {
      const wanted = `bytes ${range.offset}-${range.offset + range.size - 1}`;
      throw unexpected(
        request,
        "REGISTRY_PROTOCOL",
        wanted,
        text === undefined ? "no Content-Range" : `"${text}"`,
      );
    }
    if (found.total !== undefined && found.total !== size) {
      throw unexpected(request, "SIZE_MISMATCH", `a blob of ${size} bytes`, `${found.total}`);
    }
    return 0;
  }
  const length = parseContentLength(response.header("content-length"));
  if (length !== undefined && length !== size) {
    throw unexpected(request, "SIZE_MISMATCH", `a blob of ${size} bytes`, `${length}`);
  }
  if (range.offset > MAX_SKIPPED_BYTES) {
    throw unexpected(request, "NOT_SUPPORTED", "status 206", "200: the server ignores ranges");
  }
  return range.offset;
}

/** The bytes of a body without the first `skip`, ended after the range. */
class RangeCutter {
  /** Whether the body goes on beyond the range. One that ends with it is read to its end, which keeps the connection. */
  over = false;
  readonly #request: RangeRequest;
  #toSkip: number;
  #left: number;

  constructor(request: RangeRequest, skip: number) {
    this.#request = request;
    this.#toSkip = skip;
    this.#left = request.range.size;
  }

  /** The part of a chunk that was asked for; a view. */
  cut(chunk: Uint8Array): Uint8Array {
    const kept = this.#toSkip === 0 ? chunk : chunk.subarray(Math.min(this.#toSkip, chunk.length));
    this.#toSkip -= chunk.length - kept.length;
    if (kept.length <= this.#left) {
      this.#left -= kept.length;
      return kept;
    }
    const { range, size } = this.#request;
    if (range.offset + range.size === size) {
      throw unexpected(this.#request, "SIZE_MISMATCH", `a blob of ${size} bytes`, "more");
    }
    this.over = true;
    const wanted = kept.subarray(0, this.#left);
    this.#left = 0;
    return wanted;
  }
}

function unexpected(
  { digest, endpoint }: RangeRequest,
  code: "REGISTRY_PROTOCOL" | "SIZE_MISMATCH" | "NOT_SUPPORTED",
  expected: string,
  found: string,
): EsgzError {
  return new EsgzError(
    code,
    `Cannot read blob "${digest}" from "${endpoint.base.host}": expected ${expected}, got ${found}`,
    { details: { host: endpoint.base.host } },
  );
}
