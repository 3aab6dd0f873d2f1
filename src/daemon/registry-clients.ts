/**
 * Registries, each reached as the request that named its images said.
 *
 * @module
 */
import type { BlobSource } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { ImageReference } from "../oci/index.ts";
import type { CredentialProvider, HostConfig, RegistryClient } from "../registry/index.ts";
import { readHostsToml } from "../snapshotter/index.ts";
import type { Layer, LayerLocation, Store } from "../store/index.ts";
import type { RegistryAccess } from "./control-protocol.ts";
import type { DaemonConfig } from "./daemon-config.ts";
import { openRegistryClient, type RegistryEnvironment } from "./registry-access.ts";

/** What clients work with. */
export interface RegistryClientsOptions {
  readonly store: Store;
  readonly config: DaemonConfig;
  readonly environment: RegistryEnvironment;
  /** Where credentials come from, unless a request names a file; default: Docker's and Podman's files. */
  readonly credentials?: CredentialProvider | undefined;
  /** Told what a `hosts.toml` says in vain. */
  readonly onWarning?: ((warning: string) => void) | undefined;
}

/** What went over the wire. */
export interface RegistryTraffic {
  readonly requests: number;
  /** Of bodies that arrived. */
  readonly bytes: number;
}

/** For an image's manifest, and at once behind it the config and the layers of most images. */
export const CONNECTIONS_AHEAD = 5;
/** The kind of the leases that remember how repositories are reached: paths and hosts, never secrets. */
const ACCESS_LEASE = "registry-access";

/** Keeps a client for each way to reach registries, and remembers the way for each repository. */
export class RegistryClients implements AsyncDisposable {
  readonly #options: RegistryClientsOptions;
  readonly #clients = new Map<string, Promise<RegistryClient>>();
  readonly #access: Map<string, RegistryAccess>;
  readonly #attempts = new WeakMap<Layer, number>();
  #requests = 0;
  #bytes = 0;

  /** @throws {EsgzError} `STORE_INVALID` */
  constructor(options: RegistryClientsOptions) {
    this.#options = options;
    this.#access = readRemembered(options.store);
  }

  /** All requests so far, but those that have not ended. */
  get traffic(): RegistryTraffic {
    return { requests: this.#requests, bytes: this.#bytes };
  }

  /** The client for a way to reach registries. @throws {EsgzError} `CONFIGURATION_INVALID`, `USAGE_INVALID` */
  async clientFor(access: RegistryAccess): Promise<RegistryClient> {
    const key = JSON.stringify(Object.entries(access).toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const known = this.#clients.get(key);
    if (known !== undefined) return await known;
    const client = this.#open(access);
    this.#clients.set(key, client);
    // A file that is not there now may be there later.
    client.catch(() => this.#clients.delete(key));
    return await client;
  }

  /** How a repository was reached last; as the machine is set up if nobody has said. */
  accessOf(repository: LayerLocation): RegistryAccess {
    return this.#access.get(keyOf(repository)) ?? {};
  }

  /** Reaches a repository this way from now on, also after a restart. @throws {EsgzError} `STORE_INVALID`, `NO_SPACE` */
  remember(repository: LayerLocation, access: RegistryAccess): void {
    const key = keyOf(repository);
    if (JSON.stringify(this.accessOf(repository)) === JSON.stringify(access)) return;
    this.#access.set(key, access);
    const id = `${ACCESS_LEASE}:${key}`;
    this.#options.store.setLease({
      id,
      kind: ACCESS_LEASE,
      layers: [],
      detail: JSON.stringify({ key, access }),
    });
  }

  /** Forgets the ways to repositories that no image of the store comes from. @throws {EsgzError} `STORE_INVALID` */
  forgetUnused(references: readonly ImageReference[]): void {
    const used = new Set(references.map(keyOf));
    for (const key of this.#access.keys()) {
      if (used.has(key)) continue;
      this.#access.delete(key);
      this.#options.store.removeLease(`${ACCESS_LEASE}:${key}`);
    }
  }

  /**
   * The blob of a layer, from the best of its places, and from the next one each time it is asked for again.
   *
   * @throws {EsgzError} `REGISTRY_NOT_FOUND` for a layer that came from no registry; `CONFIGURATION_INVALID`
   */
  async openBlob(layer: Layer): Promise<BlobSource> {
    const { locations, blobSize } = layer.source;
    const attempt = this.#attempts.get(layer) ?? 0;
    this.#attempts.set(layer, attempt + 1);
    const location = locations[attempt % Math.max(1, locations.length)];
    if (location === undefined) throw withoutPlace(layer);
    const client = await this.clientFor(this.accessOf(location));
    return client.repository(location).openBlob({ digest: layer.digest, size: blobSize });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const clients = await Promise.allSettled(this.#clients.values());
    this.#clients.clear();
    await Promise.all(
      clients.map(async (client) => {
        if (client.status === "fulfilled") await client.value.close();
      }),
    );
  }

  #described(root: string, registry: string): HostConfig | undefined {
    const found = readHostsToml(root, registry);
    for (const warning of found?.warnings ?? []) this.#options.onWarning?.(warning);
    return found?.config;
  }

  async #open(access: RegistryAccess): Promise<RegistryClient> {
    const { environment, config, credentials } = this.#options;
    const { authfile, registriesDirectory, registryRetries, registryTimeoutMs } = config;
    return await openRegistryClient(
      environment,
      { ...(authfile === undefined ? {} : { authfile }), ...access },
      {
        configured: config.registries,
        ...(access.authfile === undefined && authfile === undefined ? { credentials } : {}),
        ...(registriesDirectory === undefined
          ? {}
          : { describedHost: (name) => this.#described(registriesDirectory, name) }),
        ...(registryTimeoutMs === undefined ? {} : { stallTimeoutMs: registryTimeoutMs }),
        ...(registryRetries === undefined ? {} : { retryPolicy: { attempts: registryRetries + 1 } }),
        onRequest: ({ bytesReceived }) => {
          this.#requests += 1;
          this.#bytes += bytesReceived;
        },
      },
    );
  }
}

function keyOf({ registry, repository }: LayerLocation): string {
  return `${registry}/${repository}`;
}

function readRemembered(store: Store): Map<string, RegistryAccess> {
  const found = new Map<string, RegistryAccess>();
  for (const { kind, detail } of store.leases()) {
    if (kind !== ACCESS_LEASE) continue;
    const { key, access } = JSON.parse(detail) as { readonly key: string; readonly access: RegistryAccess };
    found.set(key, access);
  }
  return found;
}

function withoutPlace(layer: Layer): EsgzError {
  return new EsgzError(
    "REGISTRY_NOT_FOUND",
    `Cannot fetch layer "${layer.digest}": expected a registry that it came from, got none`,
  );
}
