/**
 * Errors on their way to clients, and there.
 *
 * @module
 */
import { EsgzError, type ErrorCode, firstErrorOf, isEsgzError, messageOf } from "../errors/index.ts";
import type { ControlFailure } from "./control-protocol.ts";

const NOT_FOUND: ReadonlySet<ErrorCode> = new Set([
  "FILE_NOT_FOUND",
  "IMAGE_NOT_FOUND",
  "PLATFORM_NOT_FOUND",
  "REGISTRY_NOT_FOUND",
]);
const BAD_REQUEST: ReadonlySet<ErrorCode> = new Set([
  "CONFIGURATION_INVALID",
  "DIGEST_INVALID",
  "REFERENCE_INVALID",
  "REQUEST_INVALID",
  "USAGE_INVALID",
]);
const CONFLICT: ReadonlySet<ErrorCode> = new Set(["ALREADY_EXISTS", "PRECONDITION_FAILED"]);

/** The HTTP status of a failure; clients look at its code. */
export function httpStatusOf(code: ErrorCode): number {
  if (NOT_FOUND.has(code)) return 404;
  if (BAD_REQUEST.has(code)) return 400;
  if (CONFLICT.has(code)) return 409;
  return code === "NOT_SUPPORTED" ? 501 : 500;
}

/** Anything that was thrown, as data. */
export function failureOf(thrown: unknown): ControlFailure {
  const error = firstErrorOf(thrown);
  if (isEsgzError(error)) return { code: error.code, message: error.message, details: error.details };
  if (error instanceof DOMException && error.name === "AbortError")
    return { code: "ABORTED", message: "Cannot finish: it was aborted" };
  return { code: "INTERNAL", message: messageOf(error) };
}

/** An error of the daemon, as an error here. */
export function errorFrom({ code, message, details = {} }: ControlFailure): EsgzError {
  return new EsgzError(code, message, { details });
}
