/**
 * How large a blob is of which only the digest is known.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Digest } from "../oci/index.ts";
import { encodeRangeHeader, parseContentLength, parseContentRange } from "./content-range.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RegistryHost } from "./registry-host.ts";
import { repositoryScope } from "./token-scope.ts";

/** Where to look. */
export interface BlobSizePlace {
  readonly host: RegistryHost;
  readonly repository: string;
  readonly signal: AbortSignal | undefined;
}

const FIRST_BYTE = { offset: 0, size: 1 };

/**
 * Asks for the first byte, of mirrors too: stores behind redirects sign their URLs for GET only.
 *
 * @throws {EsgzError} `REGISTRY_NOT_FOUND`; `REGISTRY_PROTOCOL` if the answer does not tell; the common codes
 */
export async function fetchBlobSize(place: BlobSizePlace, digest: Digest): Promise<number> {
  const { host, repository, signal } = place;
  return await host.read(async (endpoint) => {
    const response = await endpoint.send({
      method: "GET",
      url: endpoint.urlOf(`${repository}/blobs/${digest}`),
      headers: { range: encodeRangeHeader(FIRST_BYTE) },
      range: FIRST_BYTE,
      scopes: [repositoryScope(repository, ["pull"])],
      repository,
      signal,
    });
    // An empty blob has no first byte.
    if (!response.ok && response.status !== 416)
      throw await host.failure(response, `find blob "${digest}" of ${repository}`);
    const size = response.status === 416 ? 0 : sizeIn(response);
    // All of it may be on its way.
    response.abandon();
    if (size !== undefined) return size;
    const text = `Cannot find blob "${digest}" of ${repository}: expected its size, got none`;
    throw new EsgzError("REGISTRY_PROTOCOL", text);
  }, signal);
}

function sizeIn(response: HttpResponse): number | undefined {
  return response.status === 206
    ? parseContentRange(response.header("content-range"))?.total
    : parseContentLength(response.header("content-length"));
}
