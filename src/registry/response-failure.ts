/**
 * The error for an answer that is no success.
 *
 * | status      | code                                                        |
 * | ----------- | ----------------------------------------------------------- |
 * | 401         | `REGISTRY_UNAUTHORIZED`                                     |
 * | 403         | `REGISTRY_DENIED`                                           |
 * | 404, 410    | `REGISTRY_NOT_FOUND`                                        |
 * | 405, 501    | `NOT_SUPPORTED`                                             |
 * | 413         | `LIMIT_EXCEEDED`                                            |
 * | 416         | `SIZE_MISMATCH` (the blob ends before the range)            |
 * | 429         | `REGISTRY_RATE_LIMITED`                                     |
 * | 408, 5xx    | `REGISTRY_UNAVAILABLE`                                      |
 * | other       | by the error code in the body, else `REGISTRY_PROTOCOL`     |
 *
 * @module
 */
import { type ErrorCode, EsgzError } from "../errors/index.ts";
import { parseErrorBody } from "./error-body.ts";
import type { HttpResponse } from "./http-response.ts";
import { redactUrl } from "./redact-url.ts";
import { parseRetryAfter } from "./retry-after.ts";

/** What was tried, for the message: `fetch manifest "latest" of example.com/app`. */
export interface FailureContext {
  readonly action: string;
  /** Milliseconds since 1970, to read `Retry-After` dates. */
  readonly nowWallMs: number;
}

const ERROR_BODY_LIMIT = 64 << 10;

const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  401: "REGISTRY_UNAUTHORIZED",
  403: "REGISTRY_DENIED",
  404: "REGISTRY_NOT_FOUND",
  405: "NOT_SUPPORTED",
  408: "REGISTRY_UNAVAILABLE",
  410: "REGISTRY_NOT_FOUND",
  413: "LIMIT_EXCEEDED",
  416: "SIZE_MISMATCH",
  429: "REGISTRY_RATE_LIMITED",
  501: "NOT_SUPPORTED",
};

const BY_REGISTRY_CODE: Readonly<Record<string, ErrorCode>> = {
  BLOB_UNKNOWN: "REGISTRY_NOT_FOUND",
  BLOB_UPLOAD_INVALID: "UPLOAD_INVALID",
  BLOB_UPLOAD_UNKNOWN: "UPLOAD_INVALID",
  DENIED: "REGISTRY_DENIED",
  DIGEST_INVALID: "DIGEST_MISMATCH",
  MANIFEST_BLOB_UNKNOWN: "MANIFEST_INVALID",
  MANIFEST_INVALID: "MANIFEST_INVALID",
  MANIFEST_UNKNOWN: "REGISTRY_NOT_FOUND",
  NAME_UNKNOWN: "REGISTRY_NOT_FOUND",
  SIZE_INVALID: "SIZE_MISMATCH",
  TOOMANYREQUESTS: "REGISTRY_RATE_LIMITED",
  UNAUTHORIZED: "REGISTRY_UNAUTHORIZED",
  UNSUPPORTED: "NOT_SUPPORTED",
};

/**
 * Reads what the registry says (bounded) and makes the error. `details` holds `status`, `host`, `registryCode`, and
 * `retryAfterMs` where the server asked for a pause.
 */
export async function responseFailure(response: HttpResponse, context: FailureContext): Promise<EsgzError> {
  const fault = parseErrorBody(await response.textPrefix(ERROR_BODY_LIMIT));
  const { status } = response;
  const code = codeOf(status, fault?.code.toUpperCase());
  const said = [fault?.code ?? "", fault?.message ?? ""].filter((part) => part !== "").join(": ");
  const retryAfterMs = parseRetryAfter(response.header("retry-after"), context.nowWallMs);
  return new EsgzError(
    code,
    `Cannot ${context.action}: expected success from "${redactUrl(response.url)}", got status ${status}${
      said === "" ? "" : ` (${said})`
    }`,
    {
      details: {
        status,
        host: response.url.host,
        ...(fault === undefined || fault.code === "" ? {} : { registryCode: fault.code }),
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      },
    },
  );
}

function codeOf(status: number, registryCode: string | undefined): ErrorCode {
  const known = BY_STATUS[status];
  if (status === 404 && registryCode === "BLOB_UPLOAD_UNKNOWN") return "UPLOAD_INVALID";
  if (known !== undefined) return known;
  if (status >= 500) return "REGISTRY_UNAVAILABLE";
  if (status >= 400 && registryCode !== undefined && Object.hasOwn(BY_REGISTRY_CODE, registryCode)) {
    return BY_REGISTRY_CODE[registryCode] ?? "REGISTRY_PROTOCOL";
  }
  return "REGISTRY_PROTOCOL";
}
