/**
 * An answer whose body is still on the wire.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { Dispatcher } from "undici";
import { concatBytes, decodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { CrawlGuard } from "./crawl-guard.ts";
import { exchangeFailure, type ExchangeSubject } from "./exchange-failure.ts";
import { redactUrl } from "./redact-url.ts";

/** Bodies up to this size are read to their end when nobody wants them, so that the connection can be used again. */
const DRAIN_LIMIT = 64 << 10;

/** The answer to one request. Its body is read once: by `body`, `bytes`, `text` or `discard`. */
export class HttpResponse {
  readonly status: number;
  /** The URL that answered. */
  readonly url: URL;
  readonly #subject: ExchangeSubject;
  readonly #answer: Dispatcher.ResponseData<unknown>;
  readonly #onEnd: (bytesReceived: number) => void;
  readonly #guard: CrawlGuard;
  #received = 0;

  constructor(
    subject: ExchangeSubject,
    answer: Dispatcher.ResponseData<unknown>,
    { guard, onEnd }: { readonly guard: CrawlGuard; readonly onEnd: (bytesReceived: number) => void },
  ) {
    this.status = answer.statusCode;
    this.url = subject.url;
    this.#subject = subject;
    this.#answer = answer;
    this.#onEnd = onEnd;
    this.#guard = guard;
    // A body that fails while nobody reads it must not end the process.
    answer.body.on("error", () => undefined);
  }

  /** Whether the status is 2xx. */
  get ok(): boolean {
    return this.status >= 200 && this.status < 300;
  }

  /** The first value of a header; its name in lower case. */
  header(name: string): string | undefined {
    return this.headerValues(name)[0];
  }

  /** All values of a header; its name in lower case. */
  headerValues(name: string): readonly string[] {
    const value = this.#answer.headers[name];
    if (value === undefined) return [];
    return Array.isArray(value) ? value : [value];
  }

  /**
   * The body's bytes as they arrive. Ending the iteration early closes the connection.
   *
   * @throws {EsgzError} `NETWORK_FAILED`, `TIMED_OUT`, or the signal's reason.
   */
  async *body(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for await (const chunk of this.#answer.body as AsyncIterable<Uint8Array>) {
        this.#received += chunk.length;
        yield chunk;
      }
      await this.#connectionIsFree();
    } catch (error) {
      throw exchangeFailure(this.#subject, error);
    } finally {
      this.#onEnd(this.#received);
    }
  }

  /**
   * Hands the body's bytes to `sink` as they arrive, without the cost of an iteration. A sink that returns false, or throws,
   * closes the connection.
   *
   * @throws {EsgzError} as {@linkcode HttpResponse.body}; what the sink throws.
   */
  async pump(sink: (chunk: Uint8Array) => boolean): Promise<void> {
    const { body } = this.#answer;
    try {
      await new Promise<void>((resolve, reject) => {
        // What has failed or ended before somebody listens says so no more.
        if (body.errored !== null) reject(body.errored);
        else if (body.closed) resolve();
        body.on("error", reject);
        body.on("end", resolve);
        body.on("close", resolve);
        body.on("data", (chunk: Uint8Array) => {
          this.#received += chunk.length;
          try {
            this.#guard.note(chunk.length);
            if (!sink(chunk)) body.destroy();
          } catch (error) {
            reject(error);
            body.destroy();
          }
        });
      });
      await this.#connectionIsFree();
    } catch (error) {
      throw exchangeFailure(this.#subject, error);
    } finally {
      this.#onEnd(this.#received);
    }
  }

  /**
   * The whole body.
   *
   * @throws {EsgzError} `LIMIT_EXCEEDED` if it has more than `limit` bytes; as {@linkcode HttpResponse.body}.
   */
  async bytes(limit: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let size = 0;
    for await (const part of this.body()) {
      this.#guard.note(part.length);
      size += part.length;
      if (size > limit) {
        throw new EsgzError(
          "LIMIT_EXCEEDED",
          `Cannot read answer of "${redactUrl(this.url)}": expected at most ${limit} bytes, got more`,
        );
      }
      parts.push(part);
    }
    return concatBytes(parts);
  }

  /** The first bytes of the body as text, at most `limit`; never throws, gives what arrived. */
  async textPrefix(limit: number): Promise<string> {
    const parts: Uint8Array[] = [];
    let size = 0;
    try {
      for await (const part of this.body()) {
        parts.push(part.subarray(0, limit - size));
        size += part.length;
        if (size >= limit) break;
      }
    } catch {
      // The status has been seen already; a body that breaks off only makes the message shorter.
    }
    return decodeUtf8(concatBytes(parts));
  }

  /** Closes the connection unless the body has ended. */
  abandon(): void {
    this.#answer.body.destroy();
    this.#onEnd(this.#received);
  }

  /** undici lets a connection go one turn after the body's end: who asked at once would make another, round trips away. */
  async #connectionIsFree(): Promise<void> {
    await setImmediate();
    this.#subject.signal?.throwIfAborted();
  }

  /** Gives the body up: a short one is read to its end, a long one closes the connection. Never throws. */
  async discard(): Promise<void> {
    await this.textPrefix(DRAIN_LIMIT);
  }
}
