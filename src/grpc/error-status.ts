/**
 * From an error's code to the status that a gRPC client sees.
 *
 * @module
 */
import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorCode, isEsgzError, messageOf } from "../errors/index.ts";

/** Which status stands for which code; clients such as containerd act on the status, people read the message. */
const STATUSES: Readonly<Record<ErrorCode, Code>> = {
  ABORTED: Code.Canceled,
  ALREADY_EXISTS: Code.AlreadyExists,
  COMPRESSION_INVALID: Code.DataLoss,
  CONFIGURATION_INVALID: Code.FailedPrecondition,
  CREDENTIALS_INVALID: Code.Unauthenticated,
  DAEMON_UNAVAILABLE: Code.Unavailable,
  DIGEST_INVALID: Code.InvalidArgument,
  DIGEST_MISMATCH: Code.DataLoss,
  EROFS_INVALID: Code.DataLoss,
  FILE_NOT_FOUND: Code.NotFound,
  FOOTER_INVALID: Code.DataLoss,
  FUSE_INVALID: Code.Internal,
  IMAGE_NOT_FOUND: Code.NotFound,
  INTERNAL: Code.Internal,
  IO_FAILED: Code.Internal,
  LIMIT_EXCEEDED: Code.ResourceExhausted,
  MANIFEST_INVALID: Code.DataLoss,
  MEDIA_TYPE_UNSUPPORTED: Code.Unimplemented,
  MOUNT_FAILED: Code.Unavailable,
  NETWORK_FAILED: Code.Unavailable,
  NOT_SUPPORTED: Code.Unimplemented,
  NO_SPACE: Code.ResourceExhausted,
  PATH_INVALID: Code.InvalidArgument,
  PLATFORM_NOT_FOUND: Code.NotFound,
  PRECONDITION_FAILED: Code.FailedPrecondition,
  RANGE_INVALID: Code.OutOfRange,
  REFERENCE_INVALID: Code.InvalidArgument,
  REGISTRY_DENIED: Code.PermissionDenied,
  REGISTRY_NOT_FOUND: Code.NotFound,
  REGISTRY_PROTOCOL: Code.Unavailable,
  REGISTRY_RATE_LIMITED: Code.Unavailable,
  REGISTRY_UNAUTHORIZED: Code.Unauthenticated,
  REGISTRY_UNAVAILABLE: Code.Unavailable,
  REQUEST_INVALID: Code.InvalidArgument,
  RUNTIME_FAILED: Code.Internal,
  SIZE_MISMATCH: Code.DataLoss,
  SNAPSHOT_NOT_FOUND: Code.NotFound,
  STORE_INVALID: Code.Internal,
  TAR_INVALID: Code.DataLoss,
  TIMED_OUT: Code.DeadlineExceeded,
  TOC_INVALID: Code.DataLoss,
  TOC_MISSING: Code.FailedPrecondition,
  UPLOAD_INVALID: Code.FailedPrecondition,
  USAGE_INVALID: Code.InvalidArgument,
  VERIFICATION_FAILED: Code.DataLoss,
};

/** The gRPC status for an error's code. */
export function grpcStatusOf(code: ErrorCode): Code {
  return STATUSES[code];
}

/** The error that goes over the wire for anything that was thrown; what is no error of esgz is `INTERNAL`. */
function connectErrorFrom(thrown: unknown): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  const status = isEsgzError(thrown) ? grpcStatusOf(thrown.code) : Code.Internal;
  return new ConnectError(messageOf(thrown), status, undefined, undefined, thrown);
}

/** How a call ended, as it is sent. */
export type Trailers = {
  readonly "grpc-status": string;
  /** Percent-encoded. */
  readonly "grpc-message"?: string;
};

/** Headers hold no more: a message that repeats a name of megabytes would cost the client the status, too. */
const MAX_MESSAGE_LENGTH = 2048;

/** What a client is told of anything that was thrown. */
export function statusTrailers(thrown: unknown): Trailers {
  const { code, rawMessage } = connectErrorFrom(thrown);
  const isLong = rawMessage.length > MAX_MESSAGE_LENGTH;
  const message = isLong ? `${rawMessage.slice(0, MAX_MESSAGE_LENGTH)} ...` : rawMessage;
  return { "grpc-status": String(code), "grpc-message": encodeURIComponent(message.toWellFormed()) };
}
