/**
 * What a registry answers when it cannot do what was asked.
 *
 * Body: `{"errors":[{"code":"BLOB_UNKNOWN","message":"...","detail":{...}}]}`.
 *
 * Source: OCI distribution specification 1.1, "Error Codes".
 *
 * @module
 */
import { EsgzError, ioCodeOf, isEsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/** The error codes of the distribution protocol that this server uses, with the status each has by default. */
export const PROBLEM_STATUS = {
  BLOB_UNKNOWN: 404,
  BLOB_UPLOAD_INVALID: 400,
  BLOB_UPLOAD_UNKNOWN: 404,
  DIGEST_INVALID: 400,
  MANIFEST_BLOB_UNKNOWN: 404,
  MANIFEST_INVALID: 400,
  MANIFEST_UNKNOWN: 404,
  NAME_INVALID: 400,
  NAME_UNKNOWN: 404,
  SIZE_INVALID: 400,
  UNAUTHORIZED: 401,
  DENIED: 403,
  UNSUPPORTED: 405,
  TOOMANYREQUESTS: 429,
  UNAVAILABLE: 503,
  UNKNOWN: 500,
} as const;

/** A code of the distribution protocol. */
export type ProblemCode = keyof typeof PROBLEM_STATUS;

/** What a {@link RegistryProblem} may carry beside its code and message. */
export interface RegistryProblemOptions {
  /** The HTTP status, where it is not the usual one of the code. */
  readonly status?: number;
  /** Facts for the client; sent as `detail`. */
  readonly detail?: Readonly<Record<string, unknown>>;
  /** Headers that the answer needs. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly cause?: unknown;
}

/** A refusal in the terms of the distribution protocol. It never leaves the server but as an HTTP answer. */
export class RegistryProblem extends Error {
  override readonly name: string = "RegistryProblem";
  readonly code: ProblemCode;
  readonly status: number;
  readonly detail: Readonly<Record<string, unknown>> | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, message: string, options: RegistryProblemOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.status = options.status ?? PROBLEM_STATUS[code];
    this.detail = options.detail;
    this.headers = options.headers ?? {};
  }
}

/** The problem that any thrown value is answered with. What is not meant for clients becomes a plain 500. */
export function problemFromError(thrown: unknown): RegistryProblem {
  if (thrown instanceof RegistryProblem) return thrown;
  if (!isEsgzError(thrown)) return new RegistryProblem("UNKNOWN", "internal error", { cause: thrown });
  const { cause, message } = { cause: thrown, message: thrown.message };
  switch (thrown.code) {
    case "DIGEST_INVALID":
    case "DIGEST_MISMATCH":
      return new RegistryProblem("DIGEST_INVALID", message, { cause });
    case "MANIFEST_INVALID":
    case "MEDIA_TYPE_UNSUPPORTED":
      return new RegistryProblem("MANIFEST_INVALID", message, { cause });
    case "LIMIT_EXCEEDED":
      return new RegistryProblem("SIZE_INVALID", message, { status: 413, cause });
    case "SIZE_MISMATCH":
      return new RegistryProblem("SIZE_INVALID", message, { cause });
    case "UPLOAD_INVALID":
      return new RegistryProblem("BLOB_UPLOAD_INVALID", message, { cause });
    case "NO_SPACE":
      return new RegistryProblem("UNAVAILABLE", "no space left in the registry", { status: 507, cause });
    default:
      return new RegistryProblem("UNKNOWN", "internal error", { cause });
  }
}

/** The JSON body of a problem. */
export function encodeProblem(problem: RegistryProblem): Uint8Array {
  const { code, message, detail } = problem;
  const error = detail === undefined ? { code, message } : { code, message, detail };
  return new TextEncoder().encode(`${JSON.stringify({ errors: [error] })}\n`);
}

/** The error for a system call that failed in the storage, with the full disk told apart. */
export function storageError(action: string, cause: unknown): EsgzError {
  const message = `Cannot ${action}: ${systemCodeOf(cause) ?? messageOf(cause)}`;
  return new EsgzError(ioCodeOf(cause), message, { cause });
}
