/**
 * One call of gRPC on one stream of HTTP/2.
 *
 * ```text
 * client   HEADERS :path=/service/method ─ DATA frame ─ end
 * server   HEADERS :status=200 ─ DATA frame, ... ─ HEADERS grpc-status=0          or, without any message,
 *          HEADERS :status=200 grpc-status=N grpc-message=...
 * ```
 *
 * Source: `PROTOCOL-HTTP2.md` of grpc.
 *
 * @module
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { CallContext } from "./call-context.ts";
import { statusTrailers, type Trailers } from "./error-status.ts";
import type { Route } from "./grpc-router.ts";
import { encodeFrame, FrameDecoder } from "./message-frame.ts";

const GRPC = /^application\/grpc(\+proto)?(;|$)/;
const METHOD_NOT_ALLOWED = 405;
const UNSUPPORTED_MEDIA_TYPE = 415;
const BEGINNING = { ":status": 200, "content-type": "application/grpc+proto" };
const OK: Trailers = { "grpc-status": "0" };
/** Made once: to make an error costs more than most calls. */
const GONE = new ConnectError("the client has gone", Code.Canceled);

/** Answers a call, whatever comes; whoever made it may go at any moment. */
export function answerCall(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  routes: ReadonlyMap<string, Route>,
): void {
  // It is closed then, which is listened for.
  stream.on("error", () => undefined);
  if (headers[":method"] !== "POST") return refuse(stream, METHOD_NOT_ALLOWED);
  if (!GRPC.test(headers["content-type"] ?? "")) return refuse(stream, UNSUPPORTED_MEDIA_TYPE);
  answer(stream, headers, routes.get(headers[":path"] ?? "")).catch(() =>
    stream.close(constants.NGHTTP2_INTERNAL_ERROR),
  );
}

async function answer(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  route: Route | undefined,
): Promise<void> {
  const response = new CallResponse(stream);
  try {
    if (route === undefined) throw new ConnectError(`there is no ${headers[":path"]}`, Code.Unimplemented);
    const context = new CallContext(headers);
    stream.once("close", () => context.end(GONE));
    const answered = route(await readMessage(stream), context);
    if (Symbol.asyncIterator in answered) for await (const message of answered) await response.write(message);
    else response.send(await answered);
    response.end(OK);
  } catch (error) {
    response.end(statusTrailers(error));
  }
}

/** The message of a request. Nothing is kept of one that cannot be taken. */
async function readMessage(stream: ServerHttp2Stream): Promise<Uint8Array> {
  const decoder = new FrameDecoder();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const take = (piece: Uint8Array): void => {
    try {
      decoder.push(piece);
    } catch (error) {
      stream.off("data", take);
      reject(error);
    }
  };
  stream.on("data", take);
  stream.once("end", resolve);
  stream.once("close", () => reject(GONE));
  await promise;
  return decoder.end();
}

/** What a server says in one call. A client that has gone hears nothing. */
class CallResponse {
  readonly #stream: ServerHttp2Stream;
  #hasBegun = false;
  #trailers: Trailers = OK;

  constructor(stream: ServerHttp2Stream) {
    this.#stream = stream;
  }

  /** Says a message; resolves when there is room for another one. */
  async write(message: Uint8Array): Promise<void> {
    if (this.send(message)) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#stream.once("drain", resolve).once("close", resolve);
    await promise;
    this.#stream.off("drain", resolve).off("close", resolve);
  }

  /** Says a message; whether there is room for another one. */
  send(message: Uint8Array): boolean {
    const frame = encodeFrame(message);
    if (this.#stream.closed) throw GONE;
    this.#begin();
    return this.#stream.write(frame);
  }

  /** Says how it ended. */
  end(trailers: Trailers): void {
    if (this.#stream.closed || this.#stream.destroyed) return;
    this.#trailers = trailers;
    if (this.#hasBegun) this.#stream.end();
    else this.#stream.respond({ ...BEGINNING, ...trailers }, { endStream: true });
    // What a client has not sent until now is of no use.
    if (!this.#stream.readableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }

  #begin(): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    this.#stream.respond(BEGINNING, { waitForTrailers: true });
    this.#stream.once("wantTrailers", () => this.#stream.sendTrailers(this.#trailers));
  }
}

function refuse(stream: ServerHttp2Stream, status: number): void {
  stream.respond({ ":status": status }, { endStream: true });
  stream.close(constants.NGHTTP2_NO_ERROR);
}
