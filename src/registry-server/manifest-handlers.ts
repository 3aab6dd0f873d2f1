/**
 * Manifests: pull, push, delete.
 *
 * @module
 */
import { isDigest, isTag } from "../oci/index.ts";
import { isUnchanged } from "./blob-handlers.ts";
import type { Catalog, StoredManifest } from "./catalog.ts";
import type { Exchange } from "./exchange.ts";
import { RegistryProblem } from "./registry-problem.ts";

/** A manifest of a repository, as a client names it. */
export interface ManifestTarget {
  readonly repository: string;
  /** A tag, a digest, or nonsense. */
  readonly reference: string;
}

/** Answers `GET` and `HEAD /v2/<name>/manifests/<reference>`. */
export async function getManifest(
  exchange: Exchange,
  catalog: Catalog,
  target: ManifestTarget,
): Promise<void> {
  const manifest = await findManifest(catalog, target);
  const etag = `"${manifest.digest}"`;
  const headers = {
    "Content-Type": manifest.mediaType,
    "Docker-Content-Digest": manifest.digest,
    ETag: etag,
  };
  if (isUnchanged(exchange, etag)) exchange.sendEmpty(304, headers);
  else exchange.sendBytes(200, manifest.bytes, headers);
}

/** Answers `PUT /v2/<name>/manifests/<reference>`; further tags may follow as `?tag=`. */
export async function putManifest(
  exchange: Exchange,
  catalog: Catalog,
  target: ManifestTarget & { readonly maxManifestBytes: number },
): Promise<void> {
  const { repository, reference, maxManifestBytes } = target;
  const tags = exchange.query.getAll("tag");
  assertReference(reference);
  tags.forEach(assertTag);
  const bytes = await exchange.readBody(maxManifestBytes);
  const mediaType = exchange.contentType;
  const accepted = await catalog.writeManifest(repository, { bytes, mediaType, reference, tags });
  exchange.sendEmpty(201, {
    Location: `/v2/${repository}/manifests/${reference}`,
    "Docker-Content-Digest": accepted.digest,
    "OCI-Subject": accepted.subject,
    "OCI-Tag": tags.length === 0 ? undefined : tags,
  });
}

/** Answers `DELETE /v2/<name>/manifests/<reference>`: of a tag the tag only, of a digest everything that names it. */
export async function deleteManifest(
  exchange: Exchange,
  catalog: Catalog,
  target: ManifestTarget,
): Promise<void> {
  const { repository, reference } = target;
  const deleted = isDigest(reference)
    ? await catalog.deleteManifest(repository, reference)
    : isTag(reference) && (await catalog.deleteTag(repository, reference));
  if (!deleted) throw unknownManifest(target);
  exchange.sendEmpty(202);
}

async function findManifest(catalog: Catalog, target: ManifestTarget): Promise<StoredManifest> {
  const { repository, reference } = target;
  const valid = isDigest(reference) || isTag(reference);
  const manifest = valid ? await catalog.readManifest(repository, reference) : undefined;
  if (manifest === undefined) throw unknownManifest(target);
  return manifest;
}

function assertReference(reference: string): void {
  if (isDigest(reference)) return;
  if (!reference.includes(":")) return assertTag(reference);
  throw new RegistryProblem("DIGEST_INVALID", "expected a sha256, sha384 or sha512 digest", {
    detail: { digest: reference },
  });
}

function assertTag(tag: string): void {
  if (isTag(tag)) return;
  throw new RegistryProblem("MANIFEST_INVALID", "invalid tag", { detail: { tag } });
}

function unknownManifest({ repository, reference }: ManifestTarget): RegistryProblem {
  return new RegistryProblem("MANIFEST_UNKNOWN", `"${repository}" has no such manifest`, {
    detail: { reference },
  });
}
