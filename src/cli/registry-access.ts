/**
 * How the command line reaches registries: flags, Docker's and Podman's files, certificate directories, proxies.
 *
 * @module
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { EsgzError, messageOf } from "../errors/index.ts";
import type {
  CredentialProvider,
  DockerCredentialsOptions,
  HostConfig,
  MirrorConfig,
  RegistryClient,
  RegistryClientOptions,
} from "../registry/index.ts";
import type { Environment } from "./environment.ts";

/** Options of every command that may talk to a registry. */
export interface RegistryFlags {
  readonly authfile?: string;
  readonly plainHttp?: readonly string[];
  readonly tlsVerify?: boolean;
  readonly certDir?: string;
  readonly mirror?: readonly string[];
}

const CERTIFICATE_ROOTS = ["/etc/containers/certs.d", "/etc/docker/certs.d"] as const;

/** Adds the options of {@link RegistryFlags}. */
export function addRegistryFlags(command: Command): Command {
  return command
    .option("--authfile <file>", "credentials file (default: Docker's, then Podman's)")
    .option("--plain-http <host>", "speak HTTP without TLS to this registry (repeatable)", collect)
    .option("--no-tls-verify", "accept any certificate; content is still checked against its digests")
    .option("--cert-dir <dir>", "directory with ca.crt, client.cert and client.key")
    .option("--mirror <host=url>", "read from this place first (repeatable)", collect);
}

/** A client that reaches registries as the user has set them up. */
export async function openRegistryClient(
  environment: Environment,
  flags: RegistryFlags,
  options: Pick<RegistryClientOptions, "onRequest"> = {},
  credentials?: CredentialProvider,
): Promise<RegistryClient> {
  // A login brings its credentials and may begin the file.
  if (credentials === undefined) assertAuthfile(flags.authfile);
  const registry = await import("../registry/index.ts");
  const mirrors = parseMirrors(flags.mirror ?? []);
  return new registry.RegistryClient({
    ...options,
    credentials:
      credentials ?? registry.createDockerCredentials(credentialLocations(environment, flags.authfile)),
    hosts: (name) => hostConfig(name, flags, mirrors.get(name)),
    proxy: proxySettings(environment.variables),
  });
}

/**
 * Checks that the file that a user names is there: a mistyped name would else mean to go without credentials.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID`
 */
export function assertAuthfile(path: string | undefined): void {
  if (path === undefined || existsSync(path)) return;
  const message = `Cannot use --authfile "${path}": expected a file with credentials (esgz login makes one), got none`;
  throw new EsgzError("CONFIGURATION_INVALID", message);
}

/** Where credentials are looked for. */
export function credentialLocations(
  environment: Environment,
  authfile: string | undefined,
): DockerCredentialsOptions {
  const { home, variables: env } = environment;
  return { home, env, configPath: authfile };
}

function hostConfig(
  name: string,
  flags: RegistryFlags,
  mirrors: readonly MirrorConfig[] | undefined,
): HostConfig {
  return {
    ...certificatesIn(flags.certDir ?? certificateDirectory(name)),
    ...(flags.plainHttp?.includes(name) === true ? { plainHttp: true } : {}),
    ...(flags.tlsVerify === false ? { skipVerify: true } : {}),
    ...(mirrors === undefined ? {} : { mirrors }),
  };
}

function certificateDirectory(name: string): string | undefined {
  return CERTIFICATE_ROOTS.map((root) => join(root, name)).find((directory) => existsSync(directory));
}

/** The convention of Docker and containers: `*.crt` are authorities, `X.cert` with `X.key` is the client's. */
function certificatesIn(directory: string | undefined): HostConfig {
  if (directory === undefined) return {};
  const files = filesIn(directory);
  const ca = files.filter((file) => file.endsWith(".crt")).map((file) => readPem(join(directory, file)));
  const cert = files.find((file) => file.endsWith(".cert"));
  const key = cert === undefined ? undefined : files.find((file) => file === cert.replace(/\.cert$/, ".key"));
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...(cert === undefined || key === undefined
      ? {}
      : { certFile: join(directory, cert), keyFile: join(directory, key) }),
  };
}

function filesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory).toSorted();
  } catch (cause) {
    throw unusableCertificates(directory, cause);
  }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw unusableCertificates(file, cause);
  }
}

function unusableCertificates(path: string, cause: unknown): EsgzError {
  return new EsgzError("CONFIGURATION_INVALID", `Cannot read certificates "${path}": ${messageOf(cause)}`, {
    cause,
  });
}

function parseMirrors(texts: readonly string[]): Map<string, MirrorConfig[]> {
  const mirrors = new Map<string, MirrorConfig[]>();
  for (const text of texts) {
    const equals = text.indexOf("=");
    if (equals <= 0) throw new EsgzError("USAGE_INVALID", `Cannot use mirror "${text}": expected HOST=URL`);
    const host = text.slice(0, equals);
    mirrors.set(host, [...(mirrors.get(host) ?? []), { url: text.slice(equals + 1) }]);
  }
  return mirrors;
}

function proxySettings(env: Environment["variables"]): NonNullable<RegistryClientOptions["proxy"]> {
  const first = (...names: string[]): string | undefined =>
    names.map((name) => env[name]).find((value) => value !== undefined && value !== "");
  return {
    httpProxy: first("http_proxy", "HTTP_PROXY"),
    httpsProxy: first("https_proxy", "HTTPS_PROXY"),
    noProxy: first("no_proxy", "NO_PROXY"),
  };
}

/** Collects the values of an option that may be repeated. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}
