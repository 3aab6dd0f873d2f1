/**
 * Connections: one pool of sockets per way of connecting (TLS settings, proxy).
 *
 * @module
 */
import { readFile } from "node:fs/promises";
import type { Agent, Dispatcher, ProxyAgent } from "undici";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { PemInput, TlsConfig } from "./host-config.ts";
import { type ProxySettings, selectProxy } from "./proxy-selection.ts";
import { SpareSockets } from "./spare-sockets.ts";

/** How connections are made. */
export interface DispatcherPoolOptions {
  /** Sockets per origin; default 32. */
  readonly connections?: number | undefined;
  /** Milliseconds for a connection to be there, TLS included; default 10 s. */
  readonly connectTimeoutMs?: number | undefined;
  readonly proxy?: ProxySettings | undefined;
}

interface Connections {
  readonly dispatcher: Dispatcher;
  /** Absent behind a proxy, to which the connections are. */
  readonly spares?: SpareSockets | undefined;
}

type ConnectOptions = NonNullable<ProxyAgent.Options["requestTls"]>;

const DEFAULT_CONNECTIONS = 32;
const DEFAULT_CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 30_000;

/** Makes dispatchers at first need and keeps them. */
export class DispatcherPool {
  readonly #options: DispatcherPoolOptions;
  readonly #connections = new Map<TlsConfig | undefined, Map<string, Promise<Connections>>>();
  #closed = false;

  constructor(options: DispatcherPoolOptions) {
    this.#options = options;
  }

  /**
   * The dispatcher for a target. TLS settings are told apart by identity: pass the same object for the same host.
   *
   * @throws {EsgzError} `CONFIGURATION_INVALID` for certificate files that cannot be read.
   */
  async dispatcherFor(target: URL, tls: TlsConfig): Promise<Dispatcher> {
    return (await this.#connectionsFor(target, tls)).dispatcher;
  }

  /**
   * Makes connections for requests that will come. Without effect behind a proxy.
   *
   * @throws {EsgzError} as `dispatcherFor()`; a connection that cannot be made is made again for the request.
   */
  async connectAhead(target: URL, tls: TlsConfig, count: number): Promise<void> {
    (await this.#connectionsFor(target, tls)).spares?.prepare(target, count);
  }

  #connectionsFor(target: URL, tls: TlsConfig): Promise<Connections> {
    if (this.#closed) {
      return Promise.reject(
        new EsgzError("NETWORK_FAILED", `Cannot connect to "${target.host}": the client is closed`, {
          details: { retryable: false },
        }),
      );
    }
    const proxy = selectProxy(target, this.#options.proxy ?? {});
    const owner = isPlain(tls) ? undefined : tls;
    const byProxy = this.#connections.get(owner) ?? new Map<string, Promise<Connections>>();
    this.#connections.set(owner, byProxy);
    const key = proxy?.href ?? "";
    const known = byProxy.get(key);
    if (known !== undefined) return known;
    const made = this.#create(tls, proxy);
    byProxy.set(key, made);
    made.catch(() => byProxy.delete(key));
    return made;
  }

  /** Destroys all connections. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#connections.values()].flatMap((byProxy) => [...byProxy.values()]);
    this.#connections.clear();
    const end = async (made: Promise<Connections>): Promise<void> => {
      const { dispatcher, spares } = await made;
      spares?.close();
      await dispatcher.destroy();
    };
    await Promise.allSettled(all.map(end));
  }

  async #create(tls: TlsConfig, proxy: URL | undefined): Promise<Connections> {
    // Loading undici takes tens of milliseconds; commands that never talk to a registry do not pay them.
    const [undici, connect] = await Promise.all([import("undici"), this.#connectOptions(tls)]);
    const shared: Agent.Options = {
      connections: this.#options.connections ?? DEFAULT_CONNECTIONS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      allowH2: false,
    };
    if (proxy === undefined) {
      const spares = new SpareSockets(undici.buildConnector(connect));
      return { spares, dispatcher: new undici.Agent({ ...shared, connect: spares.connect }) };
    }
    const proxied = { uri: proxy.href, requestTls: connect, proxyTls: proxyTrust(connect) };
    return { dispatcher: new undici.ProxyAgent({ ...shared, ...proxied }) };
  }

  async #connectOptions(tls: TlsConfig): Promise<ConnectOptions> {
    const [ca, cert, key] = await Promise.all([
      readPem(tls.ca, tls.caFile),
      readPem(tls.cert, tls.certFile),
      readPem(tls.key, tls.keyFile),
    ]);
    return {
      allowH2: false,
      timeout: this.#options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
      ...(ca.length === 0 ? {} : { ca: [...(await publicAuthorities()), ...ca] }),
      ...(cert.length === 0 ? {} : { cert }),
      ...(key.length === 0 ? {} : { key }),
      ...(tls.skipVerify === true ? { rejectUnauthorized: false } : {}),
    };
  }
}

/** Node replaces its own list by a given one; blobs behind a private registry may live in a public store. */
async function publicAuthorities(): Promise<readonly string[]> {
  return (await import("node:tls")).getCACertificates("default");
}

/** For the proxy itself: the private authorities, but neither the client's identity nor a blind eye. */
function proxyTrust(connect: ConnectOptions): ConnectOptions {
  const { timeout, allowH2 } = connect;
  const ca = "ca" in connect ? connect.ca : undefined;
  return {
    ...(timeout === undefined ? {} : { timeout }),
    ...(allowH2 === undefined ? {} : { allowH2 }),
    ...(ca === undefined ? {} : { ca }),
  };
}

async function readPem(
  value: PemInput | undefined,
  file: string | readonly string[] | undefined,
): Promise<Buffer[]> {
  const values = value === undefined ? [] : isList(value) ? value : [value];
  const given = values.map((pem) => Buffer.from(typeof pem === "string" ? Buffer.from(pem) : pem));
  const files = file === undefined ? [] : [file].flat();
  return [...given, ...(await Promise.all(files.map(readPemFile)))];
}

async function readPemFile(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    throw new EsgzError(
      "CONFIGURATION_INVALID",
      `Cannot read certificate file "${file}": expected PEM, got ${messageOf(cause)}`,
      { cause },
    );
  }
}

function isList(value: PemInput): value is readonly (string | Uint8Array)[] {
  return Array.isArray(value);
}

function isPlain(tls: TlsConfig): boolean {
  const { ca, caFile, cert, certFile, key, keyFile, skipVerify } = tls;
  return [ca, caFile, cert, certFile, key, keyFile, skipVerify].every((value) => value === undefined);
}
