/**
 * The client of OCI registries.
 *
 * @module
 */
import { type Clock, type RetryPolicy, systemClock } from "../async/index.ts";
import type { CallOptions } from "./manifest-store.ts";
import type { CredentialProvider } from "./credential.ts";
import type { HostConfig } from "./host-config.ts";
import { HttpTransport, type RequestRecord } from "./http-transport.ts";
import type { ProxySettings } from "./proxy-selection.ts";
import { RegistryHost } from "./registry-host.ts";
import { Repository } from "./repository.ts";
import { DEFAULT_RETRY_POLICY } from "./retry-budget.ts";

/** Everything that a client can be told. All optional; nothing is read from the environment. */
export interface RegistryClientOptions {
  /** Default: anonymous. */
  readonly credentials?: CredentialProvider | undefined;
  /** How registries are reached; asked once per registry. Default: https, and plain HTTP for loopback hosts. */
  readonly hosts?: ((registry: string) => HostConfig | undefined) | undefined;
  /** The proxy variables' values. */
  readonly proxy?: ProxySettings | undefined;
  /** Sockets per origin; default 32. A stream that is not read holds one. */
  readonly connections?: number | undefined;
  readonly connectTimeoutMs?: number | undefined;
  /** Without a byte for this long, a request is broken off and resumed. Milliseconds; default 30 s. */
  readonly stallTimeoutMs?: number | undefined;
  /** Missing fields have their defaults. */
  readonly retryPolicy?: Partial<RetryPolicy> | undefined;
  readonly userAgent?: string | undefined;
  readonly clock?: Clock | undefined;
  /** A number in [0, 1), for jitter. */
  readonly random?: (() => number) | undefined;
  /** Told of each finished exchange, also of those that failed. Must not throw. */
  readonly onRequest?: ((record: RequestRecord) => void) | undefined;
}

/** Which repository. */
export interface RepositoryName {
  /** `docker.io`, `ghcr.io`, `localhost:5000`. */
  readonly registry: string;
  /** `library/python`. */
  readonly repository: string;
}

/** Talks to any number of registries; keeps connections, tokens and what it learned about each. */
export class RegistryClient implements AsyncDisposable {
  readonly #options: RegistryClientOptions;
  readonly #transport: HttpTransport;
  readonly #hosts = new Map<string, RegistryHost>();

  constructor(options: RegistryClientOptions = {}) {
    this.#options = options;
    this.#transport = new HttpTransport(options);
  }

  /**
   * A repository. Does no I/O.
   *
   * @throws {EsgzError} `REFERENCE_INVALID`, `CONFIGURATION_INVALID`
   */
  repository(name: RepositoryName): Repository {
    return new Repository(this.#hostOf(name.registry), name.repository);
  }

  /**
   * Whether a registry answers and, where it asks for one, accepts the credential. What `login` checks.
   *
   * @throws {EsgzError} `REGISTRY_UNAUTHORIZED`, `REGISTRY_DENIED`, `NETWORK_FAILED`, ...
   */
  async ping(registry: string, options: CallOptions = {}): Promise<void> {
    const host = this.#hostOf(registry);
    await host.write(async (endpoint) => {
      const response = await endpoint.send({
        method: "GET",
        url: endpoint.urlOf(""),
        signal: options.signal,
      });
      if (!response.ok) throw await host.failure(response, `reach registry "${registry}"`);
      await response.discard();
    }, options.signal);
  }

  /** Ends all connections; calls under way fail. Can be called twice. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #hostOf(registry: string): RegistryHost {
    const known = this.#hosts.get(registry);
    if (known !== undefined) return known;
    const { credentials, clock = systemClock, random = Math.random, retryPolicy = {} } = this.#options;
    const host = new RegistryHost(registry, this.#options.hosts?.(registry) ?? {}, {
      transport: this.#transport,
      credentials,
      clock,
      random,
      retryPolicy: { ...DEFAULT_RETRY_POLICY, ...retryPolicy },
    });
    this.#hosts.set(registry, host);
    return host;
  }
}
