/**
 * The registry as a running server.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { type Clock, systemClock } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { type AccessControl, OPEN_ACCESS } from "./access-control.ts";
import { Catalog } from "./catalog.ts";
import { openDirectoryStorage } from "./directory-storage.ts";
import { dispatch, type DispatchContext } from "./dispatch.ts";
import { Exchange } from "./exchange.ts";
import { MemoryStorage } from "./memory-storage.ts";
import { problemFromError } from "./registry-problem.ts";
import { UploadSessions } from "./upload-sessions.ts";

/** What an observer learns of a request once it has been answered. */
export interface RequestInfo {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly status: number;
  /** Of the answer: body and headers, as far as the connection has taken them. */
  readonly bytesSent: number;
  readonly ms: number;
  /** What failed inside the server, where it answered 5xx or broke the answer off. */
  readonly error?: unknown;
}

/** Bounds on what clients may ask of the server. */
export interface RegistryLimits {
  /** The largest manifest, in bytes; default 4 MiB, the least that the specification wants. */
  readonly maxManifestBytes: number;
  /** The largest blob, in bytes; default 1 TiB. */
  readonly maxBlobBytes: number;
  /** Unfinished uploads at one time; default 1000. */
  readonly maxUploads: number;
  /** Unfinished uploads that nobody touched for so long are dropped; default 24 hours. */
  readonly uploadExpiryMs: number;
  /** Connections at one time; default 4096. */
  readonly maxConnections: number;
  /** A connection on which nothing moves for so long during a request is closed; default 2 minutes. */
  readonly idleTimeoutMs: number;
  /** The time to send all headers of a request; default 30 seconds. */
  readonly headersTimeoutMs: number;
}

/** How to serve a registry. */
export interface RegistryServerOptions {
  /** The directory that holds the registry, created if missing. Without it everything is in memory and ends with the server. */
  readonly root?: string | undefined;
  /** The address to listen on; default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** The port to listen on; default 0, any free one. */
  readonly port?: number | undefined;
  /** Serves HTTPS. PEM texts. */
  readonly tls?: { readonly key: string; readonly cert: string } | undefined;
  readonly limits?: Partial<RegistryLimits> | undefined;
  /** Told of every request once it has been answered. Must not throw. */
  readonly onRequest?: ((info: RequestInfo) => void) | undefined;
  readonly clock?: Clock | undefined;
  /** Ends the start, not the server. */
  readonly signal?: AbortSignal | undefined;
}

/** A registry that is being served. */
export interface RegistryServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `http://127.0.0.1:5000`, without a slash at the end. */
  readonly url: string;
  /** Stops listening, lets requests in flight end for a few seconds, closes all connections and the storage. Idempotent. */
  close(): Promise<void>;
}

const DEFAULT_LIMITS: RegistryLimits = {
  maxManifestBytes: 4 << 20,
  maxBlobBytes: 2 ** 40,
  maxUploads: 1000,
  uploadExpiryMs: 24 * 60 * 60 * 1000,
  maxConnections: 4096,
  idleTimeoutMs: 120_000,
  headersTimeoutMs: 30_000,
};
const MAX_HEADER_BYTES = 32 << 10;
// Longer than clients keep idle connections, so that the client closes first and no request meets a closing socket.
const KEEP_ALIVE_MS = 120_000;
const CLOSE_GRACE_MS = 5_000;

/**
 * Starts a registry of the OCI distribution specification 1.1.
 *
 * @throws {EsgzError} `IO_FAILED`, `NO_SPACE` if the directory cannot be used; `NETWORK_FAILED` if the address is taken.
 */
export async function startRegistryServer(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const clock = options.clock ?? systemClock;
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const storage =
    options.root === undefined
      ? new MemoryStorage({ clock })
      : await openDirectoryStorage(options.root, { clock });
  const catalog = new Catalog(storage);
  const uploads = new UploadSessions({ catalog, clock, limits, createId: () => randomUUID() });
  await uploads.sweep();
  const access: AccessControl = OPEN_ACCESS;
  const context = { catalog, uploads, access, maxManifestBytes: limits.maxManifestBytes };
  const server = new RunningServer({ ...options, context, clock, limits });
  await server.listen(options);
  return server;
}

class RunningServer implements RegistryServer {
  readonly #context: DispatchContext;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #scheme: "http" | "https";
  readonly #onRequest: ((info: RequestInfo) => void) | undefined;
  #host = "";
  #port = 0;
  #closed: Promise<void> | undefined;

  constructor(
    options: Omit<RegistryServerOptions, "clock" | "limits"> & {
      readonly context: DispatchContext;
      readonly clock: Clock;
      readonly limits: RegistryLimits;
    },
  ) {
    this.#context = options.context;
    this.#clock = options.clock;
    this.#scheme = options.tls === undefined ? "http" : "https";
    this.#onRequest = options.onRequest;
    this.#server = createHttpServer(options, options.limits);
    this.#server.on("request", (request, response) => void this.#answer(request, response, false));
    this.#server.on("checkContinue", (request, response) => void this.#answer(request, response, true));
  }

  get host(): string {
    return this.#host;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    const host = this.#host.includes(":") ? `[${this.#host}]` : this.#host;
    return `${this.#scheme}://${host}:${this.#port}`;
  }

  async listen({ host = "127.0.0.1", port = 0 }: RegistryServerOptions): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (cause: Error): void => {
        const message = `Cannot listen on "${host}:${port}": ${messageOf(cause)}`;
        reject(new EsgzError("NETWORK_FAILED", message, { cause }));
      };
      this.#server.once("error", fail);
      this.#server.listen(port, host, () => {
        this.#server.off("error", fail);
        resolve();
      });
    });
    this.#host = host;
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const ended = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
    const grace = new AbortController();
    const expired = this.#clock.sleep(CLOSE_GRACE_MS, { signal: grace.signal }).then(
      () => this.#server.closeAllConnections(),
      () => undefined,
    );
    await ended;
    grace.abort();
    await expired;
    await this.#context.catalog.storage[Symbol.asyncDispose]();
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    continueExpected: boolean,
  ): Promise<void> {
    const startMs = this.#clock.nowMs();
    const exchange = new Exchange(request, response, { scheme: this.#scheme, continueExpected });
    const sentBefore = request.socket.bytesWritten;
    let failure: unknown;
    response.on("close", () => this.#observe(request, response, { startMs, sentBefore, failure }));
    response.setHeader("Docker-Distribution-API-Version", "registry/2.0");
    if (this.#closed !== undefined) response.setHeader("Connection", "close");
    try {
      await dispatch(exchange, this.#context);
    } catch (error) {
      const problem = problemFromError(error);
      if (problem.status >= 500 || response.headersSent) failure = problem.cause ?? error;
      exchange.sendProblem(problem);
    }
  }

  #observe(
    request: IncomingMessage,
    response: ServerResponse,
    {
      startMs,
      sentBefore,
      failure,
    }: {
      readonly startMs: number;
      readonly sentBefore: number;
      readonly failure: unknown;
    },
  ): void {
    this.#onRequest?.({
      method: request.method ?? "",
      url: request.url ?? "",
      status: response.statusCode,
      bytesSent: request.socket.bytesWritten - sentBefore,
      ms: this.#clock.nowMs() - startMs,
      ...(failure === undefined ? {} : { error: failure }),
    });
  }
}

function createHttpServer({ tls }: Pick<RegistryServerOptions, "tls">, limits: RegistryLimits): Server {
  const settings = {
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: limits.headersTimeoutMs,
    // A blob may take hours; a connection on which nothing moves is ended by the idle timeout.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
    highWaterMark: 1 << 20,
  };
  const server = tls === undefined ? createServer(settings) : createSecureServer({ ...settings, ...tls });
  server.timeout = limits.idleTimeoutMs;
  server.maxConnections = limits.maxConnections;
  return server;
}
