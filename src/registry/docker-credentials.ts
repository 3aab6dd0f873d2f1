/**
 * Credentials where Docker and podman keep them.
 *
 * @module
 */
import { mkdtemp, readFile, realpath, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { makeDirectories, writeNewFile } from "../files/index.ts";
import type { Credential, CredentialProvider, CredentialQuery } from "./credential.ts";
import { eraseFromHelper, getFromHelper, type RunHelper, storeInHelper } from "./credential-helper.ts";
import {
  type DockerConfig,
  encodeDockerConfig,
  helperFor,
  mentionsRegistry,
  parseDockerConfig,
  storedCredential,
  withCredential,
  withoutCredential,
} from "./docker-config.ts";
import { createHelperRunner } from "./spawn-helper.ts";

/** Where credentials are kept. Values of the environment are passed in, not read. */
export interface DockerCredentialsOptions {
  /** The file to use, alone. Default: as {@linkcode createDockerCredentials} says. */
  readonly configPath?: string | undefined;
  /** The user's home directory. */
  readonly home: string;
  /** Looked at: `DOCKER_CONFIG`, `REGISTRY_AUTH_FILE`, `XDG_RUNTIME_DIR`, `XDG_CONFIG_HOME`; helpers get all of it. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Runs helper programs; default: starts them. */
  readonly runHelper?: RunHelper | undefined;
}

/** A {@link CredentialProvider} that can also be written, for `login` and `logout`. */
export interface DockerCredentials extends CredentialProvider {
  /** Keeps a credential: in the helper that is configured for the registry, else in the file (mode 0600). */
  saveCredential(
    registry: string,
    credential: Credential,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<void>;
  /** Forgets a registry's credential; false where there was none. */
  eraseCredential(
    registry: string,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<boolean>;
}

const MAX_CONFIG_BYTES = 4 << 20;

/**
 * Credentials of `config.json` and its helpers. Files are read at each question, so that a rotation takes effect.
 *
 * Read in this order until one has an answer: `configPath` alone if given; else `REGISTRY_AUTH_FILE`,
 * `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, `$XDG_RUNTIME_DIR/containers/auth.json`,
 * `$XDG_CONFIG_HOME/containers/auth.json`. Writes go to the first of them.
 */
export function createDockerCredentials(options: DockerCredentialsOptions): DockerCredentials {
  const files = configFiles(options);
  const run = options.runHelper ?? createHelperRunner({ env: options.env });
  const [target = ""] = files;
  return {
    credentialFor: (registry, query) => lookUp(files, run, { ...query, registry }),
    saveCredential: (registry, credential, { signal } = {}) =>
      save({ file: target, run, registry, signal }, credential),
    eraseCredential: (registry, { signal } = {}) => erase({ file: target, run, registry, signal }),
  };
}

/** The files that are read, in order; see {@linkcode createDockerCredentials}. */
export function configFiles({ configPath, home, env }: DockerCredentialsOptions): string[] {
  if (configPath !== undefined) return [configPath];
  const given = (name: string): string | undefined => (env[name] === "" ? undefined : env[name]);
  const authFile = given("REGISTRY_AUTH_FILE");
  const runtime = given("XDG_RUNTIME_DIR");
  return [
    ...(authFile === undefined ? [] : [authFile]),
    join(given("DOCKER_CONFIG") ?? join(home, ".docker"), "config.json"),
    ...(runtime === undefined ? [] : [join(runtime, "containers", "auth.json")]),
    join(given("XDG_CONFIG_HOME") ?? join(home, ".config"), "containers", "auth.json"),
  ];
}

async function lookUp(
  files: readonly string[],
  run: RunHelper,
  query: CredentialQuery & { readonly registry: string },
): Promise<Credential | undefined> {
  for (const file of files) {
    const config = await readConfig(file);
    const helper = helperFor(config, query.registry);
    const fromHelper = helper === undefined ? undefined : await getFromHelper(run, helper, query);
    const found = fromHelper ?? storedCredential(config, query.registry, query.repository);
    if (found !== undefined) return found;
  }
  return undefined;
}

interface WriteTarget {
  readonly file: string;
  readonly run: RunHelper;
  readonly registry: string;
  readonly signal: AbortSignal | undefined;
}

async function save({ file, run, registry, signal }: WriteTarget, credential: Credential): Promise<void> {
  const config = await readConfig(file);
  const helper = helperFor(config, registry);
  if (helper === undefined) {
    await writeConfig(file, withCredential(config, registry, credential));
    return;
  }
  await storeInHelper(run, helper, { registry, credential, signal });
  await writeConfig(file, withCredential(config, registry, undefined));
}

async function erase({ file, run, registry, signal }: WriteTarget): Promise<boolean> {
  const config = await readConfig(file);
  const helper = helperFor(config, registry);
  const inHelper =
    helper !== undefined && (await getFromHelper(run, helper, { registry, signal })) !== undefined;
  if (helper !== undefined) await eraseFromHelper(run, helper, { registry, signal });
  const inFile = mentionsRegistry(config, registry);
  if (inFile) await writeConfig(file, withoutCredential(config, registry));
  return inFile || inHelper;
}

async function readConfig(file: string): Promise<DockerConfig> {
  try {
    const bytes = await readFile(file);
    if (bytes.length > MAX_CONFIG_BYTES) throw new Error(`more than ${MAX_CONFIG_BYTES} bytes`);
    return parseDockerConfig(bytes.toString("utf8"), file);
  } catch (cause) {
    if (cause instanceof EsgzError) throw cause;
    const code = systemCodeOf(cause);
    if (code === "ENOENT" || code === "ENOTDIR") return { fields: {} };
    const message = `Cannot read credentials "${file}": ${messageOf(cause)}`;
    throw new EsgzError("CREDENTIALS_INVALID", message, { cause });
  }
}

/** Replaces the file in one step: a reader sees the old or the new one, whole. */
async function writeConfig(file: string, config: DockerConfig): Promise<void> {
  try {
    await makeDirectories(dirname(file), { mode: 0o700 });
    // A linked file stays a link; dotfile managers rely on it.
    const target = await realpath(file).catch(() => file);
    const workspace = await mkdtemp(`${target}.new-`);
    try {
      const temporary = join(workspace, "config.json");
      await writeNewFile(temporary, encodeDockerConfig(config), { mode: 0o600 });
      await rename(temporary, target);
    } finally {
      await rm(workspace, { recursive: true, force: true });
    }
  } catch (cause) {
    const message = `Cannot write credentials "${file}": ${messageOf(cause)}`;
    throw new EsgzError("IO_FAILED", message, { cause });
  }
}
