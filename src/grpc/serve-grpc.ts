/**
 * gRPC services on a unix socket: HTTP/2 without TLS.
 *
 * @module
 */
import { createServer, type Http2Server, type ServerHttp2Session } from "node:http2";
import { createServer as createSocketServer, type Server, type Socket } from "node:net";
import { answerCall } from "./answer-call.ts";
import { collectRoutes, type GrpcRouter } from "./grpc-router.ts";
import { SESSION_MEMORY_MIB, WINDOW_BYTES } from "./limits.ts";
import { listenOnDescriptor, listenOnPath, type ListenPlace } from "./unix-socket.ts";

/** What to serve, and where. */
export interface ServeGrpcOptions {
  /** Registers the services. */
  readonly routes: (router: GrpcRouter) => void;
  readonly listen: ListenPlace;
}

/** A server that is listening. */
export interface GrpcServer extends AsyncDisposable {
  /** Connections that are open. */
  readonly connections: number;
  /**
   * Stops accepting, lets calls under way end, and closes the connections; with `signal`, what is still under way when it
   * fires is cut off. Idempotent. A socket that was made for a path is removed.
   */
  close(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
}

/**
 * Serves until closed. Messages have at most 16 MiB in both directions; handlers that throw errors of esgz answer with the
 * status of `grpcStatusOf`; unknown methods are `UNIMPLEMENTED`.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `PATH_INVALID` or `IO_FAILED` if it cannot listen.
 */
export async function serveGrpc(options: ServeGrpcOptions): Promise<GrpcServer> {
  const routes = collectRoutes(options.routes);
  const http = createServer({
    maxSessionMemory: SESSION_MEMORY_MIB,
    settings: { initialWindowSize: WINDOW_BYTES },
  });
  http.on("stream", (stream, headers) => answerCall(stream, headers, routes));
  const sockets = "server" in options.listen ? options.listen.server : createSocketServer();
  const server = new ListeningServer(http, sockets);
  if ("path" in options.listen) await listenOnPath(sockets, options.listen.path);
  if ("fd" in options.listen) await listenOnDescriptor(sockets, options.listen.fd);
  return server;
}

class ListeningServer implements GrpcServer {
  readonly #sockets: Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #accept: (socket: Socket) => void;
  #closing: Promise<void> | undefined;

  constructor(http: Http2Server, sockets: Server) {
    this.#sockets = sockets;
    http.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
    // A client that breaks the protocol ends its own session, nothing else.
    http.on("sessionError", (_error, session) => session.destroy());
    this.#accept = (socket) => {
      socket.on("error", () => socket.destroy());
      http.emit("connection", socket);
    };
    sockets.on("connection", this.#accept);
  }

  get connections(): number {
    return this.#sessions.size;
  }

  close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.#closing ??= this.#close();
    const cut = (): void => {
      for (const session of this.#sessions) session.destroy();
    };
    if (options.signal?.aborted === true) cut();
    else options.signal?.addEventListener("abort", cut, { once: true });
    return this.#closing.finally(() => options.signal?.removeEventListener("abort", cut));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    this.#sockets.off("connection", this.#accept);
    const stopped = new Promise<void>((resolve) => this.#sockets.close(() => resolve()));
    const ended = [...this.#sessions].map(
      (session) =>
        new Promise<void>((resolve) => {
          session.once("close", resolve);
          session.close();
        }),
    );
    await Promise.all([stopped, ...ended]);
  }
}
