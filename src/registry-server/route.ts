/**
 * The paths of the distribution protocol.
 *
 * ```
 * /  /v2/  /v2/_catalog  /token
 * /v2/<name>/blobs/<digest>
 * /v2/<name>/blobs/uploads/           /v2/<name>/blobs/uploads/<uuid>
 * /v2/<name>/manifests/<reference>
 * /v2/<name>/tags/list
 * /v2/<name>/referrers/<digest>
 * ```
 *
 * Source: OCI distribution specification 1.1, "Endpoints"; `_catalog` and `/token` are conventions of Docker's registry.
 *
 * @module
 */
import { type Digest, isDigest, isRepository } from "../oci/index.ts";
import { RegistryProblem } from "./registry-problem.ts";

/** What a path names. Every part has been checked but a manifest's `reference`, which may be anything. */
export type Route =
  | { readonly kind: "root" | "base" | "catalog" | "token" }
  | { readonly kind: "blob"; readonly repository: string; readonly digest: Digest }
  | { readonly kind: "uploads"; readonly repository: string }
  | { readonly kind: "upload"; readonly repository: string; readonly id: string }
  | { readonly kind: "manifest"; readonly repository: string; readonly reference: string }
  | { readonly kind: "tags"; readonly repository: string }
  | { readonly kind: "referrers"; readonly repository: string; readonly digest: Digest };

const FIXED: Readonly<Record<string, "root" | "base" | "catalog" | "token">> = {
  "/": "root",
  "/v2": "base",
  "/v2/": "base",
  "/v2/_catalog": "catalog",
  "/token": "token",
};
const UPLOADS = /^\/v2\/(.+)\/blobs\/uploads\/?$/;
const UPLOAD = /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/;
const BLOB = /^\/v2\/(.+)\/blobs\/([^/]+)$/;
const MANIFEST = /^\/v2\/(.+)\/manifests\/([^/]+)$/;
const TAGS = /^\/v2\/(.+)\/tags\/list$/;
const REFERRERS = /^\/v2\/(.+)\/referrers\/([^/]+)$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Parses the path of a request, without its query.
 *
 * @returns undefined for a path that the protocol does not have.
 * @throws {RegistryProblem} `NAME_INVALID`, `DIGEST_INVALID`, `BLOB_UPLOAD_UNKNOWN`
 */
export function parseRoute(path: string): Route | undefined {
  if (Object.hasOwn(FIXED, path)) return { kind: FIXED[path] ?? "root" };
  const [uploads, upload, blob] = [UPLOADS.exec(path), UPLOAD.exec(path), BLOB.exec(path)];
  if (uploads !== null) return { kind: "uploads", repository: repositoryOf(uploads) };
  if (upload !== null) return { kind: "upload", repository: repositoryOf(upload), id: uploadIdOf(upload) };
  if (blob !== null) return { kind: "blob", repository: repositoryOf(blob), digest: digestOf(blob) };
  const [manifest, tags, referrers] = [MANIFEST.exec(path), TAGS.exec(path), REFERRERS.exec(path)];
  if (manifest !== null) {
    return { kind: "manifest", repository: repositoryOf(manifest), reference: decoded(manifest[2]) };
  }
  if (tags !== null) return { kind: "tags", repository: repositoryOf(tags) };
  if (referrers !== null) {
    return { kind: "referrers", repository: repositoryOf(referrers), digest: digestOf(referrers) };
  }
  return undefined;
}

/**
 * Parses a repository's name.
 *
 * @throws {RegistryProblem} `NAME_INVALID`
 */
export function parseRepository(text: string): string {
  if (isRepository(text)) return text;
  throw new RegistryProblem("NAME_INVALID", "invalid repository name", { detail: { name: text } });
}

/**
 * Parses a digest of a request.
 *
 * @throws {RegistryProblem} `DIGEST_INVALID`
 */
export function parseRequestDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new RegistryProblem("DIGEST_INVALID", "expected a sha256, sha384 or sha512 digest", {
    detail: { digest: text },
  });
}

function repositoryOf(match: RegExpExecArray): string {
  return parseRepository(decoded(match[1]));
}

function digestOf(match: RegExpExecArray): Digest {
  return parseRequestDigest(decoded(match[2]));
}

function uploadIdOf(match: RegExpExecArray): string {
  const id = decoded(match[2]);
  if (UUID.test(id)) return id;
  throw new RegistryProblem("BLOB_UPLOAD_UNKNOWN", "no such upload", { detail: { upload: id } });
}

function decoded(part: string | undefined): string {
  try {
    return decodeURIComponent(part ?? "");
  } catch {
    throw new RegistryProblem("NAME_INVALID", "the path is not percent-encoded UTF-8");
  }
}
