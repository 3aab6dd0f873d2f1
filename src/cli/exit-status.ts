/**
 * What a shell learns from a failed command: one exit status per kind of failure.
 *
 * @module
 */
import { type ErrorCode, isEsgzError } from "../errors/index.ts";

/** The exit statuses of the command line, as its documentation lists them. */
export const EXIT_STATUS = {
  success: 0,
  failure: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unverified: 5,
  unreachable: 6,
  unsupported: 7,
  storage: 8,
  interrupted: 130,
} as const;

type Kind = keyof typeof EXIT_STATUS;

const KINDS: Readonly<Record<ErrorCode, Kind>> = {
  ABORTED: "interrupted",
  ALREADY_EXISTS: "usage",
  COMPRESSION_INVALID: "unverified",
  CONFIGURATION_INVALID: "usage",
  CREDENTIALS_INVALID: "denied",
  DAEMON_UNAVAILABLE: "unreachable",
  DIGEST_INVALID: "usage",
  DIGEST_MISMATCH: "unverified",
  EROFS_INVALID: "unverified",
  FILE_NOT_FOUND: "notFound",
  FOOTER_INVALID: "unverified",
  FUSE_INVALID: "failure",
  IMAGE_NOT_FOUND: "notFound",
  INTERNAL: "failure",
  IO_FAILED: "storage",
  LIMIT_EXCEEDED: "unverified",
  MANIFEST_INVALID: "unverified",
  MEDIA_TYPE_UNSUPPORTED: "unsupported",
  MOUNT_FAILED: "failure",
  NETWORK_FAILED: "unreachable",
  NOT_SUPPORTED: "unsupported",
  NO_SPACE: "storage",
  PATH_INVALID: "unverified",
  PLATFORM_NOT_FOUND: "notFound",
  PRECONDITION_FAILED: "failure",
  RANGE_INVALID: "failure",
  REFERENCE_INVALID: "usage",
  REGISTRY_DENIED: "denied",
  REGISTRY_NOT_FOUND: "notFound",
  REGISTRY_PROTOCOL: "unreachable",
  REGISTRY_RATE_LIMITED: "unreachable",
  REGISTRY_UNAUTHORIZED: "denied",
  REGISTRY_UNAVAILABLE: "unreachable",
  REQUEST_INVALID: "usage",
  RUNTIME_FAILED: "failure",
  SIZE_MISMATCH: "unverified",
  SNAPSHOT_NOT_FOUND: "notFound",
  STORE_INVALID: "storage",
  TAR_INVALID: "unverified",
  TIMED_OUT: "unreachable",
  TOC_INVALID: "unverified",
  TOC_MISSING: "unsupported",
  UPLOAD_INVALID: "unreachable",
  USAGE_INVALID: "usage",
  VERIFICATION_FAILED: "unverified",
};

/** The exit status for anything that was thrown. */
export function exitStatusOf(thrown: unknown): number {
  if (isEsgzError(thrown)) return EXIT_STATUS[KINDS[thrown.code]];
  if (thrown instanceof DOMException && thrown.name === "AbortError") return EXIT_STATUS.interrupted;
  return EXIT_STATUS.failure;
}
