/**
 * Telling a body that crawls from one that is slow: a server that gives a byte now and then never stands still, and never ends.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import { EsgzError } from "../errors/index.ts";
import { redactUrl } from "./redact-url.ts";

/** Fewer bytes in the time after which a body is taken to stand still are none. */
const LEAST_BYTES = 1024;

/** Watches one body whose reader takes everything at once. */
export class CrawlGuard {
  readonly #clock: Clock;
  readonly #url: URL;
  readonly #windowMs: number;
  #sinceMs: number;
  #bytes = 0;

  constructor(clock: Clock, { url, windowMs }: { readonly url: URL; readonly windowMs: number }) {
    this.#clock = clock;
    this.#url = url;
    this.#windowMs = windowMs;
    this.#sinceMs = clock.nowMs();
  }

  /**
   * Notes bytes that arrived.
   *
   * @throws {EsgzError} `TIMED_OUT` if they are next to nothing for the time that they took.
   */
  note(bytes: number): void {
    this.#bytes += bytes;
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#sinceMs < this.#windowMs) return;
    if (this.#bytes < LEAST_BYTES) throw this.#crawls();
    this.#sinceMs = nowMs;
    this.#bytes = 0;
  }

  #crawls(): EsgzError {
    const wanted = `${LEAST_BYTES} bytes in ${this.#windowMs} ms`;
    return new EsgzError(
      "TIMED_OUT",
      `Cannot read answer of "${redactUrl(this.#url)}": expected at least ${wanted}, got ${this.#bytes}`,
      { details: { host: this.#url.host, retryable: true } },
    );
  }
}
