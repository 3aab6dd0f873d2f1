/**
 * Under which keys a registry's credential may be stored.
 *
 * | asked for                  | keys, first match wins                                                       |
 * | -------------------------- | ---------------------------------------------------------------------------- |
 * | `docker.io`, `library/x`   | `docker.io/library/x`, `docker.io/library`, then the names of Docker Hub     |
 * | `example.com:5000`, `a/b`  | `example.com:5000/a/b`, `example.com:5000/a`, `example.com:5000`             |
 *
 * A stored key is compared after its scheme and a trailing `/v1/` or `/v2/` have been taken off.
 *
 * Source: Docker's `config.json`; containers-auth.json(5).
 *
 * @module
 */

/** The key under which Docker stores Docker Hub's credential, also what it asks helpers for. */
export const DOCKER_HUB_KEY = "https://index.docker.io/v1/";

const HUB_NAMES = ["index.docker.io", "docker.io", "registry-1.docker.io"];

/** A stored key without scheme, API version and trailing slash: `example.com:5000` or `example.com/team`. */
export function normalizeCredentialKey(key: string): string {
  const bare = key
    .trim()
    .replace(/^https?:\/\//i, "")
    .replace(/\/+$/, "");
  const slash = bare.indexOf("/");
  const host = (slash < 0 ? bare : bare.slice(0, slash)).toLowerCase();
  const path = slash < 0 ? "" : bare.slice(slash).replace(/^\/v[12]$/, "");
  return host + path;
}

/** The normalized keys for a registry and, where one is named, a repository; most specific first. */
export function credentialKeysFor(registry: string, repository?: string): string[] {
  const hosts = registry === "docker.io" ? HUB_NAMES : [registry.toLowerCase()];
  const parts = repository === undefined || repository === "" ? [] : repository.split("/");
  const paths = parts.map((_part, index) => `/${parts.slice(0, parts.length - index).join("/")}`);
  return [...paths, ""].flatMap((path) => hosts.map((host) => host + path));
}

/** What a credential helper is asked for: the registry's name, or Docker Hub's historic key. */
export function helperServerFor(registry: string): string {
  return registry === "docker.io" ? DOCKER_HUB_KEY : registry;
}
