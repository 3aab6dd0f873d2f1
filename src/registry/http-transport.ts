/**
 * One HTTP exchange at a time: a request goes out, an answer comes back, nothing is followed, retried or remembered.
 * The only file of this module that touches sockets.
 *
 * @module
 */
import { Readable } from "node:stream";
import { systemClock, type Clock } from "../async/index.ts";
import type { ByteRange } from "../blob/index.ts";
import { CrawlGuard } from "./crawl-guard.ts";
import { DispatcherPool, type DispatcherPoolOptions } from "./dispatcher-pool.ts";
import { exchangeFailure } from "./exchange-failure.ts";
import type { TlsConfig } from "./host-config.ts";
import { HttpResponse } from "./http-response.ts";

/** The methods that the distribution protocol uses. */
export type HttpMethod = "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A finished (or failed) exchange, for counting. Holds no secrets: no query, no headers. */
export interface RequestRecord {
  readonly method: HttpMethod;
  /** Host and port. */
  readonly host: string;
  /** The URL's path, without query. */
  readonly path: string;
  /** 0 where no answer came. */
  readonly status: number;
  /** Body bytes that arrived. */
  readonly bytesReceived: number;
  /** Body bytes that were sent. */
  readonly bytesSent: number;
  /** From the start of the request to the end of its body, in milliseconds. */
  readonly ms: number;
  /** The range that was asked for. */
  readonly range?: ByteRange | undefined;
}

/** What goes out. */
export interface HttpRequest {
  readonly method: HttpMethod;
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** For the record only; the header is the caller's. */
  readonly range?: ByteRange | undefined;
  readonly tls?: TlsConfig | undefined;
  /** Overrides the transport's, in milliseconds. */
  readonly stallTimeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How a transport connects. */
export interface HttpTransportOptions extends DispatcherPoolOptions {
  readonly clock?: Clock | undefined;
  /** Without a byte for this long, an exchange fails with `TIMED_OUT`. Milliseconds; default 30 s. */
  readonly stallTimeoutMs?: number | undefined;
  readonly userAgent?: string | undefined;
  readonly onRequest?: ((record: RequestRecord) => void) | undefined;
}

const DEFAULT_STALL_TIMEOUT_MS = 30_000;

/** HTTP/1.1 over kept connections. */
export class HttpTransport {
  readonly #dispatchers: DispatcherPool;
  readonly #clock: Clock;
  readonly #stallTimeoutMs: number;
  readonly #userAgent: string;
  readonly #onRequest: (record: RequestRecord) => void;

  constructor(options: HttpTransportOptions = {}) {
    this.#dispatchers = new DispatcherPool(options);
    this.#clock = options.clock ?? systemClock;
    this.#stallTimeoutMs = options.stallTimeoutMs ?? DEFAULT_STALL_TIMEOUT_MS;
    this.#userAgent = options.userAgent ?? "esgz";
    this.#onRequest = options.onRequest ?? (() => undefined);
  }

  /**
   * Sends a request and resolves when the answer's headers are there. The body must be read or discarded.
   *
   * @throws {EsgzError} `NETWORK_FAILED`, `TIMED_OUT`. Rejects with the signal's reason on abort, also while the body is read.
   */
  async exchange(request: HttpRequest): Promise<HttpResponse> {
    request.signal?.throwIfAborted();
    const finish = this.#startRecord(request);
    const count = { sent: 0 };
    const stallTimeoutMs = request.stallTimeoutMs ?? this.#stallTimeoutMs;
    try {
      const dispatcher = await this.#dispatchers.dispatcherFor(request.url, request.tls ?? {});
      const answer = await dispatcher.request({
        origin: request.url.origin,
        path: request.url.pathname + request.url.search,
        method: request.method,
        // A transparently compressed answer would break ranges and digests.
        headers: { "accept-encoding": "identity", "user-agent": this.#userAgent, ...request.headers },
        body: bodyOf(request, count),
        signal: request.signal ?? null,
        headersTimeout: stallTimeoutMs,
        bodyTimeout: stallTimeoutMs,
      });
      return new HttpResponse(request, answer, {
        guard: new CrawlGuard(this.#clock, { url: request.url, windowMs: stallTimeoutMs }),
        onEnd: (bytesReceived) => {
          finish({ status: answer.statusCode, bytesReceived, bytesSent: count.sent });
        },
      });
    } catch (error) {
      finish({ status: 0, bytesReceived: 0, bytesSent: count.sent });
      throw exchangeFailure(request, error);
    }
  }

  /** Makes connections for exchanges that will come. @throws {EsgzError} `CONFIGURATION_INVALID`, `NETWORK_FAILED` if it is closed */
  async connectAhead(url: URL, options: { readonly tls: TlsConfig; readonly count: number }): Promise<void> {
    await this.#dispatchers.connectAhead(url, options.tls, options.count);
  }

  /** Ends all connections. Further exchanges fail. */
  async close(): Promise<void> {
    await this.#dispatchers.close();
  }

  #startRecord(
    request: HttpRequest,
  ): (end: Pick<RequestRecord, "status" | "bytesReceived" | "bytesSent">) => void {
    const startMs = this.#clock.nowMs();
    let finished = false;
    return (end) => {
      if (finished) return;
      finished = true;
      this.#onRequest({
        method: request.method,
        host: request.url.host,
        path: request.url.pathname,
        ms: this.#clock.nowMs() - startMs,
        ...end,
        ...(request.range === undefined ? {} : { range: request.range }),
      });
    };
  }
}

/** The body as undici takes it, counted. */
function bodyOf(request: HttpRequest, count: { sent: number }): Uint8Array | Readable | null {
  const { body } = request;
  if (body === undefined) return null;
  if (!(body instanceof Uint8Array)) return Readable.from(counted(body, count));
  count.sent = body.length;
  return body;
}

async function* counted(body: AsyncIterable<Uint8Array>, count: { sent: number }): AsyncIterable<Uint8Array> {
  for await (const bytes of body) {
    count.sent += bytes.length;
    yield bytes;
  }
}
