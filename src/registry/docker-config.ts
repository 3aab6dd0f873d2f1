/**
 * Docker's `config.json` and podman's `auth.json`: what of them concerns credentials.
 *
 * | field                       | meaning                                                       |
 * | --------------------------- | ------------------------------------------------------------- |
 * | `auths.<key>.auth`          | base64 of `user:password`                                     |
 * | `auths.<key>.username`, `.password` | the same in the clear; `auth` wins                    |
 * | `auths.<key>.identitytoken` | refresh token; replaces the password                          |
 * | `auths.<key>.registrytoken` | bearer token                                                  |
 * | `credHelpers.<registry>`    | suffix of the helper program for that registry                |
 * | `credsStore`                | suffix of the helper program for all others                   |
 *
 * Everything else is left alone.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import type { Credential } from "./credential.ts";
import { credentialKeysFor, DOCKER_HUB_KEY, normalizeCredentialKey } from "./credential-key.ts";

type JsonObject = Readonly<Record<string, unknown>>;

/** Parsed configuration: the JSON as it was read. */
export interface DockerConfig {
  readonly fields: JsonObject;
}

/**
 * Parses a configuration file's text.
 *
 * @throws {EsgzError} `CREDENTIALS_INVALID` for text that is no JSON object. The message never repeats the text.
 */
export function parseDockerConfig(text: string, file: string): DockerConfig {
  if (text.trim() === "") return { fields: {} };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which holds secrets.
    value = undefined;
  }
  if (isObject(value)) return { fields: value };
  throw new EsgzError("CREDENTIALS_INVALID", `Cannot read credentials "${file}": expected a JSON object`);
}

/** The helper program's suffix for a registry, or undefined. */
export function helperFor(config: DockerConfig, registry: string): string | undefined {
  const helpers = objectOf(config.fields["credHelpers"]);
  const keys = credentialKeysFor(registry);
  for (const [key, helper] of Object.entries(helpers)) {
    if (keys.includes(normalizeCredentialKey(key)) && typeof helper === "string" && helper !== "")
      return helper;
  }
  const store = config.fields["credsStore"];
  return typeof store === "string" && store !== "" ? store : undefined;
}

/** The credential stored in the file itself for the most specific matching key. */
export function storedCredential(
  config: DockerConfig,
  registry: string,
  repository?: string,
): Credential | undefined {
  const stored = new Map<string, Credential>();
  for (const [key, entry] of Object.entries(objectOf(config.fields["auths"]))) {
    const credential = credentialOf(objectOf(entry));
    if (credential !== undefined) stored.set(normalizeCredentialKey(key), credential);
  }
  for (const key of credentialKeysFor(registry, repository)) {
    const found = stored.get(key);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The configuration with a credential in `auths`; undefined stands for an empty entry, as helpers' users have it. */
export function withCredential(
  config: DockerConfig,
  registry: string,
  credential: Credential | undefined,
): DockerConfig {
  const { fields } = withoutCredential(config, registry);
  const entry = credential === undefined ? {} : entryOf(credential);
  return { fields: { ...fields, auths: { ...objectOf(fields["auths"]), [storageKey(registry)]: entry } } };
}

/** The configuration without any entry of a registry in `auths`. Path-scoped entries stay. */
export function withoutCredential(config: DockerConfig, registry: string): DockerConfig {
  const keys = credentialKeysFor(registry);
  const auths = Object.entries(objectOf(config.fields["auths"]));
  if (!("auths" in config.fields)) return config;
  const kept = auths.filter(([key]) => !keys.includes(normalizeCredentialKey(key)));
  return { fields: { ...config.fields, auths: Object.fromEntries(kept) } };
}

/** Whether `auths` names a registry, with or without secrets. */
export function mentionsRegistry(config: DockerConfig, registry: string): boolean {
  const keys = credentialKeysFor(registry);
  return Object.keys(objectOf(config.fields["auths"])).some((key) =>
    keys.includes(normalizeCredentialKey(key)),
  );
}

/** The text to write, in Docker's indentation. */
export function encodeDockerConfig(config: DockerConfig): string {
  return `${JSON.stringify(config.fields, undefined, "\t")}\n`;
}

function storageKey(registry: string): string {
  return registry === "docker.io" ? DOCKER_HUB_KEY : registry;
}

function entryOf({ username, password, identityToken, registryToken }: Credential): JsonObject {
  const user = username ?? "";
  const auth = Buffer.from(`${user}:${password ?? ""}`, "utf8").toString("base64");
  return {
    ...(user === "" && password === undefined ? {} : { auth }),
    ...(identityToken === undefined ? {} : { identitytoken: identityToken }),
    ...(registryToken === undefined ? {} : { registrytoken: registryToken }),
  };
}

function credentialOf(entry: JsonObject): Credential | undefined {
  const [authUser, authPassword] = splitAuth(textOf(entry["auth"]));
  const username = authUser ?? textOf(entry["username"]);
  const password = authPassword ?? textOf(entry["password"]);
  const identityToken = textOf(entry["identitytoken"]);
  const registryToken = textOf(entry["registrytoken"]);
  const credential: Credential = {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(identityToken === undefined ? {} : { identityToken }),
    ...(registryToken === undefined ? {} : { registryToken }),
  };
  const usable = (username !== undefined && password !== undefined) || identityToken !== undefined;
  return usable || registryToken !== undefined ? credential : undefined;
}

/** `user:password` in base64; the password may hold colons, and trailing zero bytes that Docker once wrote. */
function splitAuth(auth: string | undefined): [string | undefined, string | undefined] {
  if (auth === undefined) return [undefined, undefined];
  const text = Buffer.from(auth, "base64").toString("utf8");
  const colon = text.indexOf(":");
  if (colon <= 0) return [undefined, undefined];
  return [text.slice(0, colon), text.slice(colon + 1).replace(/\0+$/, "")];
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
