/**
 * The one error class of esgz: a stable code for programs, a sentence for people.
 *
 * @module
 */

/** Everything that can go wrong, as a closed list that callers may switch on. */
export type ErrorCode =
  /** The operation was cancelled through its signal. */
  | "ABORTED"
  /** Something with this name exists and may not be replaced. */
  | "ALREADY_EXISTS"
  /** Compressed bytes (gzip, zstd) that do not inflate. */
  | "COMPRESSION_INVALID"
  /** A configuration file or an option's value that cannot be used. */
  | "CONFIGURATION_INVALID"
  /** A credential file or helper that gave no usable credential. */
  | "CREDENTIALS_INVALID"
  /** No daemon answers, and none could be started; or the connection to it broke. */
  | "DAEMON_UNAVAILABLE"
  /** A digest that is not `algorithm:hex` of a known algorithm. */
  | "DIGEST_INVALID"
  /** Bytes that are not what their digest promised. */
  | "DIGEST_MISMATCH"
  /** An EROFS image that cannot be read, or a tree that cannot be written as one. */
  | "EROFS_INVALID"
  /** A path that the image does not hold. */
  | "FILE_NOT_FOUND"
  /** The tail of a blob is no footer of a known seekable format. */
  | "FOOTER_INVALID"
  /** A FUSE message that breaks the protocol. */
  | "FUSE_INVALID"
  /** An OCI layout, archive or directory does not hold the image or blob asked for. */
  | "IMAGE_NOT_FOUND"
  /** A state that esgz itself should have prevented. */
  | "INTERNAL"
  /** The operating system refused a read or a write. */
  | "IO_FAILED"
  /** A stated limit was passed by foreign input. */
  | "LIMIT_EXCEEDED"
  /** A manifest, index or config that breaks the OCI image specification. */
  | "MANIFEST_INVALID"
  /** A media type that the operation cannot work with. */
  | "MEDIA_TYPE_UNSUPPORTED"
  /** A mount that the kernel refused. */
  | "MOUNT_FAILED"
  /** No connection, or one that broke. */
  | "NETWORK_FAILED"
  /** The machine, the format or the combination of options does not allow it. */
  | "NOT_SUPPORTED"
  /** The disk is full. */
  | "NO_SPACE"
  /** A path that would leave its root, or is too long or too deep. */
  | "PATH_INVALID"
  /** The index has no image for the platform asked for. */
  | "PLATFORM_NOT_FOUND"
  /** A state that does not allow the operation, such as a snapshot that others build upon. */
  | "PRECONDITION_FAILED"
  /** A byte range that does not lie inside its blob. */
  | "RANGE_INVALID"
  /** An image name that cannot be parsed. */
  | "REFERENCE_INVALID"
  /** The registry knows who asks and says no. */
  | "REGISTRY_DENIED"
  /** The registry does not have it. */
  | "REGISTRY_NOT_FOUND"
  /** The registry answered outside its protocol. */
  | "REGISTRY_PROTOCOL"
  /** The registry asks to slow down, for longer than the deadline. */
  | "REGISTRY_RATE_LIMITED"
  /** The registry wants credentials, or refuses those it got. */
  | "REGISTRY_UNAUTHORIZED"
  /** The registry fails (5xx) beyond all retries. */
  | "REGISTRY_UNAVAILABLE"
  /** A request whose fields break its protocol. */
  | "REQUEST_INVALID"
  /** A command that a runtime or helper ended with failure. */
  | "RUNTIME_FAILED"
  /** More or fewer bytes than promised. */
  | "SIZE_MISMATCH"
  /** A snapshot that is not there, or no longer. */
  | "SNAPSHOT_NOT_FOUND"
  /** The layer store is damaged, locked or of another version. */
  | "STORE_INVALID"
  /** A tar stream that breaks its format. */
  | "TAR_INVALID"
  /** No answer within the deadline. */
  | "TIMED_OUT"
  /** A table of contents that breaks its format or contradicts the blob. */
  | "TOC_INVALID"
  /** A layer without a table of contents where one is needed. */
  | "TOC_MISSING"
  /** An upload session that is gone or in another state. */
  | "UPLOAD_INVALID"
  /** A command line that cannot be understood. */
  | "USAGE_INVALID"
  /** The content does not prove what it claims (a failed `verify`). */
  | "VERIFICATION_FAILED";

/** Structured facts about an error; never secrets, never query strings. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** What an {@link EsgzError} may carry beside its code and message. */
export interface EsgzErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** Facts for programs and logs. */
  readonly details?: ErrorDetails;
}

/**
 * An error with a stable {@linkcode ErrorCode}.
 *
 * Messages follow `Cannot <verb> <thing> "<name>": expected <wanted>, got <found>`:
 * one sentence, no final period.
 */
export class EsgzError extends Error {
  override readonly name: string = "EsgzError";
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: EsgzErrorOptions = {}) {
    super(message, "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** Whether a value is an {@link EsgzError}, and of the given code where one is given. */
export function isEsgzError(value: unknown, code?: ErrorCode): value is EsgzError {
  return value instanceof EsgzError && (code === undefined || value.code === code);
}

/**
 * What went wrong first, where cleaning up (`using`, `await using`) failed as well: the innermost `suppressed` of
 * `SuppressedError`s. Anything else is given back as it is.
 */
export function firstErrorOf(thrown: unknown): unknown {
  let error = thrown;
  while (error instanceof Error && error.name === "SuppressedError" && "suppressed" in error)
    error = error.suppressed;
  return error;
}

/** The message of anything that was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The `code` of a system error (`ENOENT`, `ECONNRESET`, ...) or undefined. */
export function systemCodeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== "object" || thrown === null || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}

/** What a refusal of the system is to those who write files: whether the disk, or somebody's share of it, is full. */
export function ioCodeOf(thrown: unknown): "NO_SPACE" | "IO_FAILED" {
  const system = systemCodeOf(thrown);
  return system === "ENOSPC" || system === "EDQUOT" ? "NO_SPACE" : "IO_FAILED";
}
