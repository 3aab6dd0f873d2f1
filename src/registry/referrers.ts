/**
 * What refers to a manifest (signatures, attestations, tables of contents).
 *
 * Registries with the referrers API answer directly. For others clients keep an index under a tag that is made of the
 * digest, `sha256-<hex>`.
 *
 * Source: OCI distribution specification 1.1, "Listing Referrers", "Referrers Tag Schema".
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import {
  algorithmOf,
  type Descriptor,
  type Digest,
  encodeManifest,
  hexOf,
  MAX_MANIFEST_BYTES,
  MEDIA_TYPES,
  parseIndex,
  parseManifest,
} from "../oci/index.ts";
import type { Endpoint } from "./endpoint.ts";
import type { CallOptions, ManifestStore } from "./manifest-store.ts";
import type { RegistryHost } from "./registry-host.ts";
import { nextPage, type Page } from "./tag-list.ts";
import { repositoryScope } from "./token-scope.ts";

/** Which referrers. */
export interface ListReferrersOptions extends CallOptions {
  /** Only those of this type. */
  readonly artifactType?: string | undefined;
}

const MAX_PAGES = 1000;

/** Where referrers are looked up. */
export interface ReferrersPlace {
  readonly host: RegistryHost;
  readonly repository: string;
  readonly manifests: ManifestStore;
}

/** Lists the referrers of a digest; empty for one that nothing refers to. */
export async function listReferrers(
  place: ReferrersPlace,
  digest: Digest,
  options: ListReferrersOptions = {},
): Promise<readonly Descriptor[]> {
  const all = (await listByApi(place, digest, options)) ?? (await listByTag(place, digest, options));
  const { artifactType } = options;
  return artifactType === undefined ? all : all.filter((found) => found.artifactType === artifactType);
}

/** The tag under which clients keep referrers where the registry does not. */
export function referrersTag(digest: Digest): string {
  return `${algorithmOf(digest)}-${hexOf(digest)}`.slice(0, 128);
}

/** Adds a pushed manifest to the index under the tag of its subject, if it has one. */
export async function recordReferrer(
  place: ReferrersPlace,
  pushed: { readonly descriptor: Descriptor; readonly bytes: Uint8Array },
  options: CallOptions = {},
): Promise<void> {
  if (pushed.descriptor.mediaType !== MEDIA_TYPES.ociManifest) return;
  const { subject, artifactType, config, annotations } = parseManifest(pushed.bytes);
  if (subject === undefined) return;
  const known = await listByTag(place, subject.digest, options);
  if (known.some(({ digest }) => digest === pushed.descriptor.digest)) return;
  const entry: Descriptor = {
    ...pushed.descriptor,
    artifactType: artifactType ?? config.mediaType,
    ...(annotations === undefined || annotations === null ? {} : { annotations }),
  };
  const index = encodeManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [...known, entry],
  });
  const reference = referrersTag(subject.digest);
  await place.manifests.push(index, { ...options, mediaType: MEDIA_TYPES.ociIndex, reference });
}

/** Undefined where the registry has no such API. */
async function listByApi(
  { host, repository }: ReferrersPlace,
  digest: Digest,
  options: CallOptions,
): Promise<readonly Descriptor[] | undefined> {
  const fetch = (endpoint: Endpoint, url: URL): Promise<Page<Descriptor>> =>
    fetchPage({ host, repository, endpoint, url }, options);
  try {
    const found: Descriptor[] = [];
    let page = await host.read(
      (endpoint) => fetch(endpoint, endpoint.urlOf(`${repository}/referrers/${digest}`)),
      options.signal,
    );
    const seen = new Set<string>();
    for (let count = 0; count < MAX_PAGES; count += 1) {
      found.push(...page.items);
      const { next, endpoint } = page;
      if (next === undefined || seen.has(next.href)) break;
      seen.add(next.href);
      page = await host.attempt(() => fetch(endpoint, next), { signal: options.signal, mirror: false });
    }
    return found;
  } catch (error) {
    if (isEsgzError(error, "REGISTRY_NOT_FOUND") || isEsgzError(error, "NOT_SUPPORTED")) return undefined;
    throw error;
  }
}

async function fetchPage(
  place: {
    readonly host: RegistryHost;
    readonly repository: string;
    readonly endpoint: Endpoint;
    readonly url: URL;
  },
  { signal }: CallOptions,
): Promise<Page<Descriptor>> {
  const { host, repository, endpoint, url } = place;
  const response = await endpoint.send({
    method: "GET",
    url,
    headers: { accept: MEDIA_TYPES.ociIndex },
    scopes: [repositoryScope(repository, ["pull"])],
    repository,
    signal,
  });
  if (!response.ok) throw await host.failure(response, `list referrers in "${host.registry}/${repository}"`);
  const next = nextPage(endpoint, url, response.headerValues("link"));
  const index = parseIndex(await response.bytes(MAX_MANIFEST_BYTES));
  return { items: index.manifests ?? [], next, endpoint };
}

async function listByTag(
  { manifests }: ReferrersPlace,
  digest: Digest,
  options: CallOptions,
): Promise<readonly Descriptor[]> {
  try {
    const { bytes } = await manifests.fetch(referrersTag(digest), options);
    return parseIndex(bytes).manifests ?? [];
  } catch (error) {
    if (isEsgzError(error, "REGISTRY_NOT_FOUND")) return [];
    throw error;
  }
}
