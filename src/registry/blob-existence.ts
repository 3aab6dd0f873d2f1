/**
 * Whether a repository has a blob.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import type { HttpMethod } from "./http-transport.ts";
import type { HttpResponse } from "./http-response.ts";
import type { RegistryHost } from "./registry-host.ts";
import { repositoryScope } from "./token-scope.ts";

/** Where to look. */
export interface BlobExistencePlace {
  readonly host: RegistryHost;
  readonly repository: string;
  readonly signal: AbortSignal | undefined;
}

/** Asks the registry itself, not its mirrors: what counts is where a push goes. */
export async function hasBlob(place: BlobExistencePlace, digest: Digest): Promise<boolean> {
  const { host, repository, signal } = place;
  return await host.write(async (endpoint) => {
    const ask = async (method: HttpMethod, headers: Record<string, string>): Promise<HttpResponse> => {
      const url = endpoint.urlOf(`${repository}/blobs/${digest}`);
      const scopes = [repositoryScope(repository, ["pull"])];
      return await endpoint.send({ method, url, headers, scopes, repository, signal });
    };
    let response = await ask("HEAD", {});
    if ([400, 403, 405].includes(response.status)) {
      // Stores behind redirects sign their URLs for GET only.
      await response.discard();
      response = await ask("GET", { range: "bytes=0-0" });
    }
    if (response.ok) {
      await response.discard();
      return true;
    }
    // An empty blob has no first byte.
    if (response.status === 404 || response.status === 416) {
      await response.discard();
      return response.status === 416;
    }
    throw await host.failure(response, `look for blob "${digest}" in ${repository}`);
  }, signal);
}
