/**
 * The registry as a running server.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type ServerOptions as SecureServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { type Clock, Semaphore, systemClock } from "../async/index.ts";
import { EsgzError, messageOf } from "../errors/index.ts";
import { BufferPool } from "./buffer-pool.ts";
import { Catalog } from "./catalog.ts";
import { createAccess } from "./create-access.ts";
import { openDirectoryStorage } from "./directory-storage.ts";
import { dispatch, type DispatchContext } from "./dispatch.ts";
import { Exchange } from "./exchange.ts";
import { collectGarbage, type GarbageOptions, type GarbageReport } from "./garbage-collection.ts";
import { MemoryStorage } from "./memory-storage.ts";
import {
  DEFAULT_LIMITS,
  type RegistryLimits,
  type RegistryServerOptions,
  type RequestInfo,
} from "./registry-options.ts";
import { problemFromError } from "./registry-problem.ts";
import { UploadSessions } from "./upload-sessions.ts";

/** A registry that is being served. */
export interface RegistryServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** `http://127.0.0.1:5000`, without a slash at the end. */
  readonly url: string;
  /**
   * Deletes what no repository needs, while serving; calls wait for each other.
   *
   * @throws {EsgzError} `IO_FAILED`
   */
  collectGarbage(options?: GarbageOptions): Promise<GarbageReport>;
  /** Stops listening, lets requests in flight end for a few seconds, closes all connections and the storage. Idempotent. */
  close(): Promise<void>;
}

const MAX_HEADER_BYTES = 32 << 10;
// Longer than clients keep idle connections, so that the client closes first and no request meets a closing socket.
const KEEP_ALIVE_MS = 120_000;
const CLOSE_GRACE_MS = 5_000;
// Two buffers of this size per download: large enough that system calls cost little, small enough for many downloads.
const BUFFER_SIZE = 1 << 20;
const SWEEP_INTERVAL_MS = 60 * 60 * 1000;

/**
 * Starts a registry of the OCI distribution specification 1.1.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` for passwords or tokens; `IO_FAILED`, `NO_SPACE` if the directory cannot be used; `NETWORK_FAILED` if the address is taken.
 */
export async function startRegistryServer(options: RegistryServerOptions = {}): Promise<RegistryServer> {
  const clock = options.clock ?? systemClock;
  const access = createAccess(options, clock);
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const storage =
    options.root === undefined
      ? new MemoryStorage({ clock })
      : await openDirectoryStorage(options.root, { clock });
  const catalog = new Catalog(storage);
  const uploads = new UploadSessions({ catalog, clock, limits, createId: () => randomUUID() });
  await uploads.sweep();
  const context = { catalog, uploads, access, maxManifestBytes: limits.maxManifestBytes };
  const server = new RunningServer({ ...options, context, clock, limits });
  options.signal?.throwIfAborted();
  await server.listen(options);
  return server;
}

class RunningServer implements RegistryServer {
  readonly #context: DispatchContext;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #scheme: "http" | "https";
  readonly #onRequest: ((info: RequestInfo) => void) | undefined;
  readonly #buffers = new BufferPool(BUFFER_SIZE);
  #host = "";
  #port = 0;
  #closed: Promise<void> | undefined;
  readonly #stopped = new AbortController();
  readonly #collecting = new Semaphore(1);

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
    void this.#sweepForever();
  }

  async collectGarbage(options: GarbageOptions = {}): Promise<GarbageReport> {
    const parts = { ...this.#context, clock: this.#clock };
    return await this.#collecting.run(() => collectGarbage(parts, options), { signal: options.signal });
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Drops abandoned uploads now and then. A sweep that fails is tried again at the next turn. */
  async #sweepForever(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      await this.#clock.sleep(SWEEP_INTERVAL_MS, { signal }).catch(() => undefined);
      if (!signal.aborted) await this.#context.uploads.sweep().catch(() => undefined);
    }
  }

  async #close(): Promise<void> {
    this.#stopped.abort();
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
    const exchange = new Exchange(request, response, {
      scheme: this.#scheme,
      continueExpected,
      buffers: this.#buffers,
    });
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
      ...(request.headers.range === undefined ? {} : { range: request.headers.range }),
      status: response.statusCode,
      bytesSent: request.socket.bytesWritten - sentBefore,
      ms: this.#clock.nowMs() - startMs,
      ...(failure === undefined ? {} : { error: failure }),
    });
  }
}

function secureServer(settings: SecureServerOptions): Server {
  try {
    return createSecureServer(settings);
  } catch (cause) {
    const message = `Cannot start registry: expected a PEM certificate and its key, got ${messageOf(cause)}`;
    throw new EsgzError("CONFIGURATION_INVALID", message, { cause });
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
  const server = tls === undefined ? createServer(settings) : secureServer({ ...settings, ...tls });
  server.timeout = limits.idleTimeoutMs;
  server.maxConnections = limits.maxConnections;
  return server;
}
