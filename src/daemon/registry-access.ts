/**
 * How registries are reached: what a command was told, what is configured, Docker's and Podman's files, certificate
 * directories, proxies. For the command line and the daemon alike.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { EsgzError } from "../errors/index.ts";
import type {
  CredentialProvider,
  DockerCredentialsOptions,
  HostConfig,
  MirrorConfig,
  RegistryClient,
  RegistryClientOptions,
} from "../registry/index.ts";
import { certificateDirectory, certificatesIn } from "./certificate-files.ts";
import type { RegistryAccess } from "./control-protocol.ts";
import type { EndpointSettings, RegistrySettings } from "./daemon-config.ts";

/** What the process around gives. */
export interface RegistryEnvironment {
  readonly home: string;
  readonly variables: Readonly<Record<string, string | undefined>>;
}

/** What a client may be told beside the access. */
export interface RegistryAccessOptions extends Pick<
  RegistryClientOptions,
  "onRequest" | "connections" | "stallTimeoutMs" | "retryPolicy"
> {
  /** In place of those in files. */
  readonly credentials?: CredentialProvider | undefined;
  /** Registries as a configuration file describes them; what the access says wins. */
  readonly configured?: Readonly<Record<string, RegistrySettings>> | undefined;
  /** Registries as containerd's `hosts.toml` describe them: how a registry is reached that is not configured otherwise. */
  readonly describedHost?: ((registry: string) => HostConfig | undefined) | undefined;
}

/**
 * A client that reaches registries as the user has set them up.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` for a credentials file that is not there, `USAGE_INVALID` for a mirror that is none.
 */
export async function openRegistryClient(
  environment: RegistryEnvironment,
  access: RegistryAccess,
  options: RegistryAccessOptions = {},
): Promise<RegistryClient> {
  const { configured, credentials, describedHost, ...rest } = options;
  // A login brings its credentials and may begin the file.
  if (credentials === undefined) assertAuthfile(access.authfile);
  const registry = await import("../registry/index.ts");
  const mirrors = parseMirrors(access.mirror ?? []);
  return new registry.RegistryClient({
    ...rest,
    credentials:
      credentials ?? registry.createDockerCredentials(credentialLocations(environment, access.authfile)),
    hosts: (name) =>
      hostConfig(name, {
        access,
        configured: configured?.[name],
        described: describedHost?.(name),
        mirrors: mirrors.get(name),
      }),
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
  environment: RegistryEnvironment,
  authfile: string | undefined,
): DockerCredentialsOptions {
  const { home, variables: env } = environment;
  return { home, env, configPath: authfile };
}

interface HostSettings {
  readonly access: RegistryAccess;
  readonly configured: RegistrySettings | undefined;
  readonly described: HostConfig | undefined;
  readonly mirrors: readonly MirrorConfig[] | undefined;
}

function hostConfig(name: string, settings: HostSettings): HostConfig {
  const { access, configured = {}, mirrors } = settings;
  const described = settings.configured === undefined ? settings.described : undefined;
  const { url, mirrors: configuredMirrors, ...endpoint } = configured;
  const usual = described === undefined ? certificateDirectory(name) : undefined;
  const directory = access.certDir ?? configured.cert_dir ?? usual;
  return {
    ...described,
    ...endpointConfig({ ...endpoint, ...(directory === undefined ? {} : { cert_dir: directory }) }),
    ...(url === undefined ? {} : { url }),
    ...schemeOf(name, access),
    ...(access.tlsVerify === false ? { skipVerify: true } : {}),
    ...mirrorsOf(mirrors ?? configuredMirrors?.map(mirrorConfig)),
  };
}

/** @throws {EsgzError} `USAGE_INVALID` */
function schemeOf(name: string, { plainHttp = [], tls = [] }: RegistryAccess): Pick<HostConfig, "plainHttp"> {
  const [isPlain, isTls] = [plainHttp.includes(name), tls.includes(name)];
  if (isPlain && isTls) {
    throw new EsgzError(
      "USAGE_INVALID",
      `Cannot reach registry "${name}": expected --plain-http or --tls for it, got both`,
    );
  }
  return isPlain || isTls ? { plainHttp: isPlain } : {};
}

function mirrorsOf(mirrors: readonly MirrorConfig[] | undefined): Pick<HostConfig, "mirrors"> {
  return mirrors === undefined ? {} : { mirrors };
}

function mirrorConfig(settings: EndpointSettings & { readonly url: string }): MirrorConfig {
  return { ...endpointConfig(settings), url: settings.url };
}

function endpointConfig(settings: EndpointSettings): Omit<HostConfig, "mirrors" | "url"> {
  const { plain_http, tls_verify, cert_dir, ca_file, client_cert, client_key, headers } = settings;
  return {
    ...certificatesIn(cert_dir),
    ...(ca_file === undefined ? {} : { caFile: ca_file }),
    ...(client_cert === undefined ? {} : { certFile: client_cert }),
    ...(client_key === undefined ? {} : { keyFile: client_key }),
    ...(plain_http === undefined ? {} : { plainHttp: plain_http }),
    ...(tls_verify === false ? { skipVerify: true } : {}),
    ...(headers === undefined ? {} : { headers }),
  };
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

function proxySettings(
  variables: RegistryEnvironment["variables"],
): NonNullable<RegistryClientOptions["proxy"]> {
  const first = (...names: string[]): string | undefined =>
    names.map((name) => variables[name]).find((value) => value !== undefined && value !== "");
  return {
    httpProxy: first("http_proxy", "HTTP_PROXY"),
    httpsProxy: first("https_proxy", "HTTPS_PROXY"),
    noProxy: first("no_proxy", "NO_PROXY"),
  };
}
