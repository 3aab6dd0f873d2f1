/**
 * The tags of a repository, page by page.
 *
 * Source: OCI distribution specification 1.1, "Listing tags".
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { isTag } from "../oci/index.ts";
import type { Endpoint } from "./endpoint.ts";
import { parseNextLink } from "./link-header.ts";
import type { CallOptions } from "./manifest-store.ts";
import type { RegistryHost } from "./registry-host.ts";
import { repositoryScope } from "./token-scope.ts";

/** One page of some list, and where the next one is. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly next: URL | undefined;
  readonly endpoint: Endpoint;
}

const PAGE_SIZE = "1000";
const MAX_PAGE_BYTES = 8 << 20;
const MAX_PAGES = 100_000;

/**
 * Lists the tags in the registry's order. What is no tag is left out.
 *
 * @throws {EsgzError} `REGISTRY_NOT_FOUND` for an unknown repository, `REGISTRY_PROTOCOL` for pages that break the protocol.
 */
export async function* listTags(
  host: RegistryHost,
  repository: string,
  options: CallOptions = {},
): AsyncGenerator<string, void, undefined> {
  const first = (endpoint: Endpoint): URL => endpoint.urlOf(`${repository}/tags/list`, { n: PAGE_SIZE });
  let page = await host.read((endpoint) => {
    return fetchPage(host, repository, { endpoint, url: first(endpoint), ...options });
  }, options.signal);
  const seen = new Set<string>();
  for (let count = 0; count < MAX_PAGES; count += 1) {
    yield* page.items;
    const { next, endpoint } = page;
    // A registry whose last page links to itself would be listed for ever.
    if (next === undefined || seen.has(next.href)) return;
    seen.add(next.href);
    page = await host.attempt(() => fetchPage(host, repository, { endpoint, url: next, ...options }), {
      signal: options.signal,
      mirror: false,
    });
  }
}

async function fetchPage(
  host: RegistryHost,
  repository: string,
  request: CallOptions & { readonly endpoint: Endpoint; readonly url: URL },
): Promise<Page<string>> {
  const { endpoint, url, signal } = request;
  const response = await endpoint.send({
    method: "GET",
    url,
    scopes: [repositoryScope(repository, ["pull"])],
    repository,
    signal,
  });
  if (!response.ok) throw await host.failure(response, `list tags of "${host.registry}/${repository}"`);
  const next = nextPage(endpoint, url, response.headerValues("link"));
  const tags = parseTagList(new TextDecoder().decode(await response.bytes(MAX_PAGE_BYTES)), repository);
  return { items: tags, next, endpoint };
}

/** The next page's URL; one on another origin is no page of this registry. */
export function nextPage(endpoint: Endpoint, from: URL, links: readonly string[]): URL | undefined {
  const target = parseNextLink(links);
  if (target === undefined) return undefined;
  const next = endpoint.resolveLocation(target, from);
  return next.origin === endpoint.base.origin ? next : undefined;
}

function parseTagList(text: string, repository: string): string[] {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null) {
      const tags = "tags" in value ? value.tags : null;
      if (tags === null) return [];
      if (Array.isArray(tags)) return tags.filter((tag) => typeof tag === "string" && isTag(tag));
    }
  } catch {
    // Reported below: JSON that is none, and JSON of another shape, are the same to the caller.
  }
  throw new EsgzError(
    "REGISTRY_PROTOCOL",
    `Cannot list tags of "${repository}": expected JSON with a list of tags`,
  );
}
