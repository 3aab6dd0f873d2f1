/**
 * What a handler may know of a call beside its message.
 *
 * @module
 */
import type { IncomingHttpHeaders } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

/** A `grpc-timeout`: up to eight digits and a unit. */
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** What a timer of Node can wait for. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** One call, from its headers to its end. */
export class CallContext {
  readonly #headers: IncomingHttpHeaders;
  readonly #ending = new AbortController();
  readonly #endMs: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;

  /** @throws {ConnectError} `INVALID_ARGUMENT` for a timeout that is none. */
  constructor(headers: IncomingHttpHeaders) {
    this.#headers = headers;
    const timeoutMs = parseTimeout(headers["grpc-timeout"]);
    if (timeoutMs === undefined) return;
    this.#endMs = performance.now() + timeoutMs;
    const late = (): void => this.end(new ConnectError("the call took too long", Code.DeadlineExceeded));
    this.#timer = setTimeout(late, Math.min(timeoutMs, MAX_TIMER_MS));
    this.#timer.unref();
  }

  /** Fires when nobody waits for an answer any more: the client has it or has gone, or its time is over. */
  get signal(): AbortSignal {
    return this.#ending.signal;
  }

  /** The metadata that the client sent. */
  get requestHeader(): Headers {
    const headers = new Headers();
    for (const [name, value] of Object.entries(this.#headers)) {
      if (name.startsWith(":") || value === undefined) continue;
      for (const one of [value].flat()) headers.append(name, one);
    }
    return headers;
  }

  /** How long the client goes on waiting, in whole milliseconds, as a header can say it; undefined if it did not say. */
  get timeoutMs(): number | undefined {
    return this.#endMs === undefined ? undefined : Math.max(0, Math.ceil(this.#endMs - performance.now()));
  }

  /** Nobody waits any more, or the call was answered. */
  end(reason: ConnectError): void {
    clearTimeout(this.#timer);
    this.#ending.abort(reason);
  }
}

/** The milliseconds of a `grpc-timeout` header. @throws {ConnectError} `INVALID_ARGUMENT` */
export function parseTimeout(text: string | string[] | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, digits, unit = ""] = TIMEOUT.exec(String(text)) ?? [];
  if (digits !== undefined) return Number(digits) * (UNIT_MS[unit] ?? 0);
  throw new ConnectError(`expected a grpc-timeout, got "${String(text)}"`, Code.InvalidArgument);
}
