/**
 * HTTP on the control socket.
 *
 * @module
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Server as NetServer } from "node:net";
import { decodeUtf8 } from "../bytes/index.ts";
import { EsgzError, firstErrorOf, messageOf } from "../errors/index.ts";
import type { ControlEvent } from "./control-protocol.ts";
import { failureOf, httpStatusOf } from "./control-failure.ts";

/** What a handler gets. */
export interface ControlCall {
  readonly query: URLSearchParams;
  /** The parsed JSON; undefined where there is none. */
  readonly body: unknown;
  /** Aborted when the client goes away, or the server has to end. */
  readonly signal: AbortSignal;
  /** Tells the client; without effect where the answer has no events. */
  readonly emit: (event: ControlEvent) => void;
}

/** One kind of request. */
export interface ControlRoute {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  /** `json`: a value. `events`: lines. `text`: as it is. */
  readonly answer: "json" | "events" | "text";
  readonly handle: (call: ControlCall) => unknown;
}

/** How to serve. */
export interface ControlServerOptions {
  readonly routes: readonly ControlRoute[];
  /** Told of failures, with what was asked for. */
  readonly onFailure: (error: unknown, request: string) => void;
}

/** What aborted work may take to end. */
const ABORT_MS = 10_000;
const MAX_BODY_BYTES = 1 << 20;
const TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** Serves the control protocol; counts what is under way. */
export class ControlServer {
  readonly #server: Server;
  readonly #options: ControlServerOptions;
  readonly #ending = new AbortController();
  readonly #answers = new Set<Promise<void>>();
  #active = 0;
  #served = 0;
  #onActivity: () => void = () => undefined;

  constructor(options: ControlServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      const answer = this.#answer(request, response).finally(() => this.#answers.delete(answer));
      this.#answers.add(answer);
    });
    // Long calls send events when there are any.
    this.#server.requestTimeout = 0;
    this.#server.timeout = 0;
  }

  /** Requests under way. */
  get active(): number {
    return this.#active;
  }

  /** Requests that were answered. */
  get served(): number {
    return this.#served;
  }

  /** Called whenever a request begins or ends. */
  set onActivity(listener: () => void) {
    this.#onActivity = listener;
  }

  /** Accepts on a descriptor, or on an address. @throws {EsgzError} `IO_FAILED` */
  async listen(
    where: { readonly fd: number } | { readonly host: string; readonly port: number },
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", (cause) =>
        reject(
          new EsgzError(
            "IO_FAILED",
            `Cannot listen for requests: expected a free address, got ${messageOf(cause)}`,
            {
              cause,
            },
          ),
        ),
      );
      this.#server.listen(where, resolve);
    });
  }

  /**
   * Accepts no more, answers what was accepted, aborts what takes longer than `graceMs`. A client keeps no connection for
   * another request, so all end by themselves. Also what clients have left behind has ended then, or had time to.
   */
  async close(options: { readonly graceMs: number; readonly reason: EsgzError }): Promise<void> {
    const closed = Promise.withResolvers<void>();
    // Not that of HTTP, which breaks connections whose request has not arrived yet.
    NetServer.prototype.close.call(this.#server, () => closed.resolve());
    const grace = setTimeout(() => {
      this.#ending.abort(options.reason);
      this.#server.closeIdleConnections();
    }, options.graceMs);
    const late = Promise.withResolvers<void>();
    const last = setTimeout(() => {
      this.#server.closeAllConnections();
      late.resolve();
    }, options.graceMs + ABORT_MS);
    await closed.promise;
    await Promise.race([Promise.allSettled(this.#answers), late.promise]);
    clearTimeout(grace);
    clearTimeout(last);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#active += 1;
    this.#onActivity();
    // A client that leaves in the middle of an answer.
    response.on("error", () => undefined);
    try {
      await this.#dispatch(request, response);
    } catch (thrown) {
      const error = firstErrorOf(thrown);
      this.#options.onFailure(error, `${request.method} ${request.url}`);
      sendFailure(response, error);
    } finally {
      this.#active -= 1;
      this.#served += 1;
      this.#onActivity();
    }
  }

  async #dispatch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = requestUrl(request);
    const route = this.#options.routes.find(
      ({ method, path }) => method === request.method && path === url.pathname,
    );
    if (route === undefined) throw unknownRequest(request.method, url.pathname);
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished)
        gone.abort(new EsgzError("ABORTED", "Cannot finish: the client has left"));
    });
    const body = await readBody(request);
    const signal = AbortSignal.any([gone.signal, this.#ending.signal]);
    const emit = route.answer === "events" ? eventWriter(response) : () => undefined;
    const result: unknown = await route.handle({ query: url.searchParams, body, signal, emit });
    if (route.answer === "events") await end(response, `${JSON.stringify({ result })}\n`);
    else if (route.answer === "text") await sendText(response, String(result));
    else await sendJson(response, 200, result ?? {});
  }
}

function requestUrl({ url = "" }: IncomingMessage): URL {
  const parsed = URL.parse(url, "http://esgz");
  if (parsed !== null) return parsed;
  throw new EsgzError("REQUEST_INVALID", "Cannot answer request: expected the path of one that is known");
}

function eventWriter(response: ServerResponse): (event: ControlEvent) => void {
  response.writeHead(200, { "content-type": "application/x-ndjson" });
  return (event) => {
    // Who does not read gets no events, and no memory of ours.
    const isOptional = event.kind === "progress";
    if (response.writableNeedDrain && isOptional) return;
    response.write(`${JSON.stringify({ event })}\n`);
  };
}

function sendFailure(response: ServerResponse, error: unknown): void {
  const failure = failureOf(error);
  if (response.headersSent) response.end(`${JSON.stringify({ error: failure })}\n`);
  else void sendJson(response, httpStatusOf(failure.code), { error: failure });
}

async function sendJson(response: ServerResponse, status: number, value: unknown): Promise<void> {
  response.writeHead(status, { "content-type": "application/json" });
  await end(response, JSON.stringify(value));
}

async function sendText(response: ServerResponse, text: string): Promise<void> {
  response.writeHead(200, { "content-type": TEXT_TYPE });
  await end(response, text);
}

/** Resolves when the answer is out, or its reader is gone. */
async function end(response: ServerResponse, text: string): Promise<void> {
  // One that was gone before says so no more.
  if (response.closed) return;
  await new Promise<void>((resolve) => {
    response.once("close", resolve);
    response.end(text, () => resolve());
  });
}

async function readBody(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_BODY_BYTES) throw invalidBody(`at most ${MAX_BODY_BYTES} bytes`, `${size} or more`);
    chunks.push(chunk as Buffer);
  }
  if (size === 0) return undefined;
  try {
    return JSON.parse(decodeUtf8(Buffer.concat(chunks)));
  } catch (error) {
    throw invalidBody("JSON", messageOf(error));
  }
}

function invalidBody(expected: string, found: string): EsgzError {
  return new EsgzError("REQUEST_INVALID", `Cannot read request: expected ${expected}, got ${found}`);
}

function unknownRequest(method: string | undefined, path: string): EsgzError {
  return new EsgzError(
    "NOT_SUPPORTED",
    `Cannot answer request "${method ?? ""} ${path}": expected one of this version, got another`,
  );
}
