/**
 * An HTTP server that does what a test tells it, on real sockets.
 *
 * @module
 */
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { Socket } from "node:net";

/** A request as it arrived, body included. */
export interface SeenRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

/** Answers one request. */
export type Script = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

/** A running server. */
export interface ScriptedServer extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly url: string;
  /** Everything that was asked, in order. */
  readonly requests: SeenRequest[];
  /** The TCP connections that were made, in order. */
  readonly sockets: readonly Socket[];
  /** How many those are. */
  readonly connections: () => number;
}

/** Starts a server on a free port of the loopback interface; disposing ends it with all its connections. */
export async function startScriptedServer(script: Script, tls?: ServerOptions): Promise<ScriptedServer> {
  const requests: SeenRequest[] = [];
  const sockets: Socket[] = [];
  const listener: RequestListener = (request, response) => {
    const answer = async (): Promise<void> => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      const { method = "", url = "", headers } = request;
      const seen = { method, url, headers, body: Buffer.concat(parts) };
      requests.push(seen);
      await script(seen, response);
    };
    // A client that breaks off, or a script that destroys its socket, is part of the play.
    answer().catch(() => response.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer(tls, listener);
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const host = `127.0.0.1:${port}`;
  return {
    host,
    url: `${tls === undefined ? "http" : "https"}://${host}`,
    requests,
    sockets,
    connections: () => sockets.length,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Answers with a status, headers and a body. */
export function answer(
  response: ServerResponse,
  status: number,
  headers: Record<string, string | number> = {},
  body: string | Uint8Array = "",
): void {
  const size = typeof body === "string" ? Buffer.byteLength(body) : body.length;
  response.writeHead(status, { "content-length": size, ...headers });
  response.end(body);
}

/** Answers a GET of `bytes` as a good server does, honouring one range. */
export function answerRange(request: SeenRequest, response: ServerResponse, bytes: Uint8Array): void {
  const range = rangeOf(request);
  if (range === undefined) return answer(response, 200, {}, bytes);
  const [first, last] = range;
  const headers = { "content-range": `bytes ${first}-${last}/${bytes.length}` };
  return answer(response, 206, headers, bytes.subarray(first, last + 1));
}

/** First and last byte that a request asks for. */
export function rangeOf(request: SeenRequest): [number, number] | undefined {
  const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
  return match === null ? undefined : [Number(match[1]), Number(match[2])];
}
