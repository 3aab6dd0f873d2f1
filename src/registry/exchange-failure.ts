/**
 * What went wrong on the wire, as one of the project's errors.
 *
 * @module
 */
import { EsgzError, isEsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { redactUrl } from "./redact-url.ts";

const TIMEOUTS = new Set([
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "ETIMEDOUT",
]);

/** Failures that the next try would meet again: names that do not exist, certificates, misuse. */
const LASTING =
  /^(?:ENOTFOUND|ERR_TLS_|ERR_SSL_|ERR_OSSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO|HOSTNAME_MISMATCH|UND_ERR_INVALID_ARG|UND_ERR_DESTROYED|UND_ERR_CLOSED|UND_ERR_PRX)/;

/** What an exchange was about. */
export interface ExchangeSubject {
  readonly method: string;
  readonly url: URL;
  readonly signal?: AbortSignal | undefined;
}

/**
 * The error to throw for a failed exchange: the signal's reason where it was aborted, an {@link EsgzError} as it is,
 * `TIMED_OUT` or `NETWORK_FAILED` otherwise, with `details.retryable` saying whether another try can help.
 */
export function exchangeFailure(subject: ExchangeSubject, thrown: unknown): unknown {
  if (subject.signal?.aborted === true) return subject.signal.reason;
  if (isEsgzError(thrown)) return thrown;
  const code = systemCodeOf(thrown) ?? "";
  const retryable = !LASTING.test(code);
  const found =
    code === "" || messageOf(thrown).includes(code) ? messageOf(thrown) : `${messageOf(thrown)} (${code})`;
  return new EsgzError(
    TIMEOUTS.has(code) ? "TIMED_OUT" : "NETWORK_FAILED",
    `Cannot ${subject.method} "${redactUrl(subject.url)}": expected an answer, got ${found}`,
    { cause: thrown, details: { host: subject.url.host, retryable } },
  );
}
