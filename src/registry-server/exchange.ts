/**
 * One request and its answer.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { ByteRange } from "../blob/index.ts";
import { concatBytes, encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { BufferPool } from "./buffer-pool.ts";
import { encodeProblem, type RegistryProblem } from "./registry-problem.ts";
import type { ContentReader } from "./registry-storage.ts";

/** Headers of an answer; undefined ones are left out. */
export type AnswerHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

// A client that goes on sending after a refusal is listened to for so many bytes, so that it can read the answer.
const MAX_UNREAD_BYTES = 16 << 20;

/** A request of the protocol, parsed as far as every handler needs it. */
export class Exchange {
  readonly method: string;
  /** Percent-encoded. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** `http` or `https`, and the host that the client used. */
  readonly origin: string;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #buffers: BufferPool;
  #continueExpected: boolean;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    options: {
      readonly scheme: "http" | "https";
      readonly continueExpected: boolean;
      readonly buffers: BufferPool;
    },
  ) {
    const [path = "/", ...query] = (request.url ?? "/").split("?");
    this.method = request.method ?? "GET";
    this.path = path;
    this.query = new URLSearchParams(query.join("?"));
    this.origin = `${options.scheme}://${request.headers.host ?? "localhost"}`;
    this.#request = request;
    this.#response = response;
    this.#buffers = options.buffers;
    this.#continueExpected = options.continueExpected;
  }

  /** A header of the request; of repeated ones the joined text. */
  header(name: string): string | undefined {
    const value = this.#request.headers[name.toLowerCase()];
    return Array.isArray(value) ? value.join(", ") : value;
  }

  /** The media type of the request's body, without parameters. */
  get contentType(): string | undefined {
    const mediaType = this.header("content-type")?.split(";")[0]?.trim().toLowerCase();
    return mediaType === "" ? undefined : mediaType;
  }

  /** The body as it arrives; a client that waits to be asked for it is asked when the iteration begins. Leaving the iteration early does not break the connection. */
  body(): AsyncIterable<Uint8Array> {
    const begin = (): AsyncIterator<Uint8Array> => {
      if (this.#continueExpected) this.#response.writeContinue();
      this.#continueExpected = false;
      return this.#request.iterator({ destroyOnReturn: false });
    };
    return { [Symbol.asyncIterator]: begin };
  }

  /**
   * The whole body.
   *
   * @throws {EsgzError} `LIMIT_EXCEEDED` beyond `limit` bytes.
   */
  async readBody(limit: number): Promise<Uint8Array> {
    const stated = Number(this.header("content-length") ?? 0);
    if (stated > limit) throw tooLarge(limit, stated);
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of this.body()) {
      size += part.length;
      if (size > limit) throw tooLarge(limit, size);
      parts.push(part);
    }
    return concatBytes(parts);
  }

  /** Answers without a body. */
  sendEmpty(status: number, headers: AnswerHeaders = {}): void {
    const length = status === 204 || status === 304 ? undefined : 0;
    this.#begin(status, { "Content-Length": length, ...headers });
    this.#end();
  }

  /** Answers with bytes. */
  sendBytes(status: number, bytes: Uint8Array, headers: AnswerHeaders): void {
    this.#begin(status, { "Content-Length": bytes.length, ...headers });
    this.#end(bytes);
  }

  /** Answers with JSON. */
  sendJson(status: number, value: unknown, headers: AnswerHeaders = {}): void {
    const bytes = encodeUtf8(`${JSON.stringify(value)}\n`);
    this.sendBytes(status, bytes, { "Content-Type": "application/json", ...headers });
  }

  /** Answers with a problem; if an answer has begun already, breaks the connection, so that it is not taken as whole. */
  sendProblem(problem: RegistryProblem): void {
    if (this.#response.headersSent) {
      this.#response.destroy();
      return;
    }
    const headers = { "Content-Type": "application/json", ...problem.headers };
    this.sendBytes(problem.status, encodeProblem(problem), headers);
  }

  /** Answers with a part of some content, as fast as the client takes it, in memory of constant size. */
  async sendContent(
    status: number,
    content: { readonly reader: ContentReader; readonly range: ByteRange },
    headers: AnswerHeaders,
  ): Promise<void> {
    const { reader, range } = content;
    this.#begin(status, { "Content-Length": range.size, ...headers });
    if (this.method !== "HEAD") await this.#pump(reader, range);
    this.#end();
  }

  /** Sends from one buffer while the other is being filled. */
  async #pump(reader: ContentReader, range: ByteRange): Promise<void> {
    const pool = this.#buffers;
    let [current, next] = [pool.take(), pool.take()];
    let sent = Promise.resolve();
    for (let at = 0; at < range.size;) {
      const target = current.subarray(0, Math.min(pool.bufferSize, range.size - at));
      const count = await reader.read(target, range.offset + at);
      await sent;
      if (count < target.length) throw new EsgzError("SIZE_MISMATCH", "Cannot send content: it has shrunk");
      sent = this.#write(target);
      // Awaited a turn later: a failure must not count as unhandled until then.
      sent.catch(() => undefined);
      at += count;
      [current, next] = [next, current];
    }
    await sent;
    // Only now: after a failure the connection may still hold on to them.
    pool.give(current);
    pool.give(next);
  }

  #write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      // A connection that goes away while earlier answers still wait for it never calls back.
      const onClose = (): void => reject(new EsgzError("NETWORK_FAILED", "Cannot send content: client left"));
      this.#response.once("close", onClose);
      this.#response.write(bytes, (error) => {
        this.#response.off("close", onClose);
        if (error instanceof Error) reject(error);
        else resolve();
      });
    });
  }

  #begin(status: number, headers: AnswerHeaders): void {
    this.#response.statusCode = status;
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) this.#response.setHeader(name, value);
    }
  }

  #end(bytes?: Uint8Array): void {
    if (bytes === undefined) this.#response.end();
    else this.#response.end(bytes);
    if (!this.#request.complete) this.#discardBody();
  }

  #discardBody(): void {
    // A client that waits for "100 Continue" sends its body no more, or the connection is of no further use.
    let budget = MAX_UNREAD_BYTES;
    this.#request.on("data", (chunk: Uint8Array) => {
      budget -= chunk.length;
      if (budget < 0) this.#request.destroy();
    });
  }
}

function tooLarge(limit: number, size: number): EsgzError {
  return new EsgzError("LIMIT_EXCEEDED", `Cannot accept body: expected at most ${limit} bytes, got ${size}`);
}
