/**
 * A client's side: calls to a gRPC server on a unix socket.
 *
 * @module
 */
import { connect } from "node:net";
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { systemCodeOf } from "../errors/index.ts";
import { MAX_MESSAGE_BYTES, WINDOW_BYTES } from "./limits.ts";

const STATUS_TRAILER = "grpc-status";

/** Whom to call, and what to say with each call. */
export interface UnixTransportOptions {
  readonly path: string;
  /** Sent with each call, such as `containerd-namespace`. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** A transport for `createClient`, with the one connection that it keeps. */
export interface UnixTransport extends Disposable {
  readonly transport: Transport;
  /** Closes the connection; calls under way fail. */
  close(): void;
}

/**
 * A transport that connects at its first call, and again after a connection was lost. Creating it does no I/O. A call whose
 * server is not there, or is gone before its answer, fails with `Unavailable`, as in other implementations of gRPC.
 *
 * @example
 * ```ts
 * using unix = createUnixTransport({ path: "/run/containerd/containerd.sock" });
 * const snapshots = createClient(Snapshots, unix.transport);
 * ```
 */
export function createUnixTransport(options: UnixTransportOptions): UnixTransport {
  const { path, metadata = {} } = options;
  // The authority is never looked up: the connection is made below.
  const baseUrl = "http://localhost";
  const sessionManager = new Http2SessionManager(
    baseUrl,
    {},
    { createConnection: () => connect(path), settings: { initialWindowSize: WINDOW_BYTES } },
  );
  const withMetadata: Interceptor = (next) => (request) => {
    for (const [name, value] of Object.entries(metadata)) {
      if (!request.header.has(name)) request.header.set(name, value);
    }
    return next(request);
  };
  const transport = createGrpcTransport({
    baseUrl,
    sessionManager,
    interceptors: [withMetadata, unavailableWithoutServer],
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    compressMinBytes: MAX_MESSAGE_BYTES,
  });
  const close = (): void => sessionManager.abort();
  return { transport, close, [Symbol.dispose]: close };
}

/** Tells a connection that cannot be made, or is lost, from what a server answered and from a caller that gave up. */
const unavailableWithoutServer: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (!(error instanceof ConnectError) || request.signal.aborted || !isOfConnection(error)) throw error;
    throw new ConnectError(error.rawMessage, Code.Unavailable, undefined, undefined, error);
  }
};

function isOfConnection({ cause, code, metadata }: ConnectError): boolean {
  if (metadata.has(STATUS_TRAILER)) return false;
  return code === Code.Canceled || code === Code.Aborted || systemCodeOf(cause) !== undefined;
}
