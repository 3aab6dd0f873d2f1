/**
 * Errors as the kernel takes them: numbers (`errno.h` of Linux, the same on all machines that Node runs on).
 *
 * @module
 */
import { EsgzError, isEsgzError, type ErrorCode } from "../errors/index.ts";

/** The errors that filesystems answer with. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EBADF: 9,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  EXDEV: 18,
  ENODEV: 19,
  ENOTDIR: 20,
  EISDIR: 21,
  EINVAL: 22,
  ENOTTY: 25,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ERANGE: 34,
  ENAMETOOLONG: 36,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  ELOOP: 40,
  ENODATA: 61,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  ECONNABORTED: 103,
  ETIMEDOUT: 110,
  ESTALE: 116,
} as const;

/** The name of an error of {@linkcode ERRNO}. */
export type ErrnoName = keyof typeof ERRNO;

/** What a filesystem method throws to answer with a certain error. */
export class ErrnoError extends EsgzError {
  /** Above 0. */
  readonly errno: number;

  constructor(errno: number | ErrnoName, message?: string) {
    const number = typeof errno === "number" ? errno : ERRNO[errno];
    super("IO_FAILED", message ?? `Cannot answer FUSE request: the answer is errno ${errno}`);
    this.errno = number;
  }
}

/** The errno of each code. What a reader can do nothing about is EIO. */
const ERRNO_BY_CODE: Readonly<Record<ErrorCode, ErrnoName>> = {
  ABORTED: "EINTR",
  ALREADY_EXISTS: "EEXIST",
  COMPRESSION_INVALID: "EIO",
  CONFIGURATION_INVALID: "EIO",
  CREDENTIALS_INVALID: "EIO",
  DAEMON_UNAVAILABLE: "EIO",
  DIGEST_INVALID: "EIO",
  DIGEST_MISMATCH: "EIO",
  EROFS_INVALID: "EIO",
  FILE_NOT_FOUND: "ENOENT",
  FOOTER_INVALID: "EIO",
  FUSE_INVALID: "EINVAL",
  IMAGE_NOT_FOUND: "EIO",
  INTERNAL: "EIO",
  IO_FAILED: "EIO",
  LIMIT_EXCEEDED: "EIO",
  MANIFEST_INVALID: "EIO",
  MEDIA_TYPE_UNSUPPORTED: "EIO",
  MOUNT_FAILED: "EIO",
  NETWORK_FAILED: "EIO",
  NOT_SUPPORTED: "EOPNOTSUPP",
  NO_SPACE: "ENOSPC",
  PATH_INVALID: "EINVAL",
  PLATFORM_NOT_FOUND: "EIO",
  PRECONDITION_FAILED: "EIO",
  RANGE_INVALID: "EINVAL",
  REFERENCE_INVALID: "EIO",
  REGISTRY_DENIED: "EIO",
  REGISTRY_NOT_FOUND: "EIO",
  REGISTRY_PROTOCOL: "EIO",
  REGISTRY_RATE_LIMITED: "EIO",
  REGISTRY_UNAUTHORIZED: "EIO",
  REGISTRY_UNAVAILABLE: "EIO",
  REQUEST_INVALID: "EIO",
  RUNTIME_FAILED: "EIO",
  SIZE_MISMATCH: "EIO",
  SNAPSHOT_NOT_FOUND: "EIO",
  STORE_INVALID: "EIO",
  TAR_INVALID: "EIO",
  TIMED_OUT: "EIO",
  TOC_INVALID: "EIO",
  TOC_MISSING: "EIO",
  UPLOAD_INVALID: "EIO",
  USAGE_INVALID: "EIO",
  VERIFICATION_FAILED: "EIO",
};

const LARGEST_ERRNO = 4095;

/**
 * The errno for anything that was thrown: that of an {@linkcode ErrnoError} or of a failed system call of Node, else
 * by the error's code, else EIO.
 */
export function errnoOf(thrown: unknown): number {
  const own = ownErrno(thrown);
  if (own !== undefined) return own;
  // Codes of another version of the errors module have no row.
  if (isEsgzError(thrown)) return ERRNO[ERRNO_BY_CODE[thrown.code] ?? "EIO"];
  return ERRNO.EIO;
}

/** Whether what was thrown is an answer that the filesystem chose, not a failure that should be looked at. */
export function isChosenErrno(thrown: unknown): boolean {
  return thrown instanceof ErrnoError;
}

function ownErrno(thrown: unknown): number | undefined {
  if (typeof thrown !== "object" || thrown === null || !("errno" in thrown)) return undefined;
  const { errno } = thrown;
  if (typeof errno !== "number" || !Number.isInteger(errno)) return undefined;
  // Node's errors have the number below 0.
  const number = Math.abs(errno);
  return number > 0 && number <= LARGEST_ERRNO ? number : undefined;
}
