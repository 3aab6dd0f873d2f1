/**
 * Image references: `[host[:port]/]path[:tag][@digest]`, with Docker Hub's defaults.
 *
 * Source: the grammar of the distribution project's reference package; the normalization that Docker users know.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { type Digest, isDigest } from "./digest.ts";

/** A parsed image reference. */
export interface ImageReference {
  /** Host and port, as the user means it: `docker.io` for Docker Hub. */
  readonly registry: string;
  /** The repository's path on that host: `library/python`. */
  readonly repository: string;
  /** The tag; `latest` where neither tag nor digest was given. */
  readonly tag?: string;
  /** The digest, where one was given. It wins over the tag. */
  readonly digest?: Digest;
}

const DOMAIN_LABEL = /^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])$/;
const PATH_COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const HUB_ALIASES = new Set(["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"]);
const MAX_NAME_LENGTH = 255;

/**
 * Parses an image reference.
 *
 * @throws {EsgzError} `REFERENCE_INVALID`
 */
export function parseReference(text: string): ImageReference {
  const [rest, digest] = splitDigest(text);
  const [name, tag] = splitTag(rest, text);
  const [registry, repository] = splitRegistry(name);
  if (!isRegistryHost(registry)) throw invalid(text, `"${registry}" is not a host`);
  if (repository === "" || !repository.split("/").every((part) => PATH_COMPONENT.test(part))) {
    throw invalid(text, `expected a repository path in lower case, got "${repository}"`);
  }
  if (name.length > MAX_NAME_LENGTH)
    throw invalid(text, `expected at most ${MAX_NAME_LENGTH} characters before the tag`);
  if (digest !== undefined) return { registry, repository, digest, ...(tag === undefined ? {} : { tag }) };
  return { registry, repository, tag: tag ?? "latest" };
}

/** The full text of a reference: registry, repository, and tag or digest or both. */
export function formatReference(reference: ImageReference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  return `${reference.registry}/${reference.repository}${tag}${digest}`;
}

/** Whether text is a tag. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Whether text is a repository path such as `library/python`. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && text.split("/").every((part) => PATH_COMPONENT.test(part));
}

function splitDigest(text: string): [string, Digest | undefined] {
  const at = text.indexOf("@");
  if (at < 0) return [text, undefined];
  const digest = text.slice(at + 1);
  if (!isDigest(digest)) throw invalid(text, `"${digest}" is not a digest`);
  return [text.slice(0, at), digest];
}

function splitTag(rest: string, text: string): [string, string | undefined] {
  const colon = rest.lastIndexOf(":");
  if (colon < 0 || rest.indexOf("/", colon) >= 0) return [rest, undefined];
  const tag = rest.slice(colon + 1);
  if (!TAG.test(tag)) throw invalid(text, `"${tag}" is not a tag`);
  return [rest.slice(0, colon), tag];
}

/** The part before the first slash is a host if it looks like one: a dot, a colon, upper case, or `localhost`. */
function splitRegistry(name: string): [string, string] {
  const slash = name.indexOf("/");
  const first = name.slice(0, Math.max(slash, 0));
  const isHost =
    slash > 0 && (/[.:[\]]/.test(first) || first === "localhost" || first !== first.toLowerCase());
  const registry = isHost ? first : "docker.io";
  const path = isHost ? name.slice(slash + 1) : name;
  const canonical = HUB_ALIASES.has(registry) ? "docker.io" : registry;
  return [
    canonical,
    canonical === "docker.io" && !path.includes("/") && path !== "" ? `library/${path}` : path,
  ];
}

function isRegistryHost(host: string): boolean {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(host);
  if (match === null || Number(match[2] ?? 0) > 65535) return false;
  const name = match[1] ?? "";
  return name.startsWith("[") || name.split(".").every((label) => DOMAIN_LABEL.test(label));
}

function invalid(text: string, reason: string): EsgzError {
  return new EsgzError("REFERENCE_INVALID", `Cannot parse image reference "${text}": ${reason}`);
}
