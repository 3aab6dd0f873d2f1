/**
 * Lists: tags, referrers, repositories.
 *
 * @module
 */
import { type Digest, MEDIA_TYPES } from "../oci/index.ts";
import type { Catalog } from "./catalog.ts";
import type { Exchange } from "./exchange.ts";
import { RegistryProblem } from "./registry-problem.ts";

interface Page {
  readonly names: readonly string[];
  /** The `Link` to the next page, where there is one. */
  readonly link: string | undefined;
}

const COUNT = /^\d{1,9}$/;

/** Answers `GET /v2/<name>/tags/list`. */
export async function getTags(exchange: Exchange, catalog: Catalog, repository: string): Promise<void> {
  const tags = await catalog.listTags(repository);
  if (tags === undefined) {
    throw new RegistryProblem("NAME_UNKNOWN", "repository unknown to registry", {
      detail: { name: repository },
    });
  }
  const { names, link } = pageOf(exchange, tags);
  exchange.sendJson(200, { name: repository, tags: names }, { Link: link });
}

/** Answers `GET /v2/_catalog`. */
export async function getCatalog(exchange: Exchange, catalog: Catalog): Promise<void> {
  const { names, link } = pageOf(exchange, await catalog.listRepositories());
  exchange.sendJson(200, { repositories: names }, { Link: link });
}

/** Answers `GET /v2/<name>/referrers/<digest>`, filtered by `artifactType` where the client asks for it. */
export async function getReferrers(
  exchange: Exchange,
  catalog: Catalog,
  target: { readonly repository: string; readonly digest: Digest },
): Promise<void> {
  const all = await catalog.listReferrers(target.repository, target.digest);
  const artifactType = exchange.query.get("artifactType");
  const manifests =
    artifactType === null ? all : all.filter((descriptor) => descriptor.artifactType === artifactType);
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests };
  exchange.sendJson(200, index, {
    "Content-Type": MEDIA_TYPES.ociIndex,
    "OCI-Filters-Applied": artifactType === null ? undefined : "artifactType",
  });
}

/** The page that `n` and `last` ask for, of names in ASCII order. */
function pageOf(exchange: Exchange, names: readonly string[]): Page {
  const [last, count] = [exchange.query.get("last") ?? "", exchange.query.get("n")];
  const rest = last === "" ? names : names.filter((name) => name > last);
  if (count === null) return { names: rest, link: undefined };
  if (!COUNT.test(count)) {
    throw new RegistryProblem("UNSUPPORTED", "expected n to be a number", {
      status: 400,
      detail: { n: count },
    });
  }
  const page = rest.slice(0, Number(count));
  const final = page.at(-1);
  if (final === undefined || page.length === rest.length) return { names: page, link: undefined };
  const query = new URLSearchParams({ n: count, last: final });
  return { names: page, link: `<${exchange.path}?${query.toString()}>; rel="next"` };
}
