/**
 * How a registry is reached: address, mirrors, TLS.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { isLoopbackHost } from "./loopback.ts";

/** PEM text or bytes, one or several. */
export type PemInput = string | Uint8Array | readonly (string | Uint8Array)[];

/** TLS to one host. What is given as a file is read at the first connection. */
export interface TlsConfig {
  /** Certificates of private authorities, trusted beside the public ones. */
  readonly ca?: PemInput | undefined;
  /** The same, as a path, or several. */
  readonly caFile?: string | readonly string[] | undefined;
  /** The client's certificate chain. */
  readonly cert?: string | Uint8Array | undefined;
  /** The same, as a path. */
  readonly certFile?: string | undefined;
  /** The client's private key. */
  readonly key?: string | Uint8Array | undefined;
  /** The same, as a path. */
  readonly keyFile?: string | undefined;
  /** Accept any certificate. Content is still checked against digests, tags and credentials are not protected. */
  readonly skipVerify?: boolean | undefined;
}

/** One place that speaks the distribution protocol. */
export interface EndpointConfig extends TlsConfig {
  /**
   * `https://host[:port][/prefix]`, without `/v2`. Default for a registry: its own name. Without a scheme, `https:`
   * except for loopback hosts or with `plainHttp`.
   */
  readonly url?: string | undefined;
  /** The URL's path is that of the API: no `/v2` is added to it. Default false. */
  readonly wholePath?: boolean | undefined;
  /** Whether to speak HTTP without TLS. Default: only with loopback hosts. Must not contradict the URL's scheme. */
  readonly plainHttp?: boolean | undefined;
  /** Sent with each request to this origin, and to no other. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** A place to read from before the registry itself. */
export interface MirrorConfig extends EndpointConfig {
  readonly url: string;
}

/** How chunks of a stream of unknown length are uploaded; see the README. */
export type UploadMode = "chunked" | "streamed";

/** Everything that can be said about one registry. */
export interface HostConfig extends EndpointConfig {
  /** Tried in order for reads; the registry itself comes last. Writes never go to mirrors. */
  readonly mirrors?: readonly MirrorConfig[] | undefined;
  /** Default `chunked` (resumable), `streamed` for Google's registries, which refuse chunks. */
  readonly uploads?: UploadMode | undefined;
}

/** The name under which Docker Hub's API is served. */
const HUB_API_HOST = "registry-1.docker.io";

/**
 * The base URL of a registry's API, ending in `/v2/` unless the whole path was given.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` for a URL that is none, has credentials or a query, or contradicts `plainHttp`.
 */
export function baseUrlOf(registry: string, config: EndpointConfig): URL {
  const address = config.url ?? (registry === "docker.io" ? HUB_API_HOST : registry);
  const named = /^[a-z][a-z0-9+.-]*:\/\//i.test(address);
  const host = address.split("/")[0] ?? "";
  const plain = config.plainHttp ?? isLoopbackHost(host);
  const text = named ? address : `${plain ? "http" : "https"}://${address}`;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const usable =
    url !== undefined &&
    (url.protocol === "http:" || url.protocol === "https:") &&
    url.username === "" &&
    url.password === "" &&
    url.search === "" &&
    url.hash === "";
  if (!usable) {
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot use address of registry "${registry}": expected http(s)://host[:port][/prefix]`,
    );
  }
  if (named && config.plainHttp !== undefined && config.plainHttp !== (url.protocol === "http:")) {
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot use address of registry "${registry}": its scheme contradicts plainHttp`,
    );
  }
  const path = url.pathname.replace(/\/+$/, "");
  const isWhole = config.wholePath === true || path.endsWith("/v2");
  url.pathname = isWhole ? `${path}/` : `${path}/v2/`;
  return url;
}

/** The upload mode that fits a registry where none was configured. */
export function defaultUploadMode(registry: string): UploadMode {
  return /(?:^|\.)(?:gcr\.io|pkg\.dev)$/.test(registry) ? "streamed" : "chunked";
}
