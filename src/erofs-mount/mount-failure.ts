/**
 * Refused mounts, in words that say what to do.
 *
 * @module
 */
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/** What was attempted. */
export interface MountAttempt {
  /** For the message: `mount overlay on "/mnt"`. */
  readonly action: string;
  /** What an errno means here, by its name; these come before the general meanings. */
  readonly hints?: Readonly<Record<string, string>>;
  /** What the kernel said beside the errno. */
  readonly kernelMessages?: readonly string[];
}

const GENERAL_HINTS: Readonly<Record<string, string>> = {
  EPERM: "mounting needs root, or a user namespace for filesystems that may be mounted there",
  EACCES: "a file or directory may not be used by this process",
  ENODEV: "this kernel does not have the filesystem",
  ENOENT: "a file, or the directory to mount on, does not exist",
  ENOTDIR: "the place to mount on, or a part of a path, is not a directory",
  ENOSYS: "this kernel is too old for the call",
  ENOSPC: "this mount namespace has as many mounts as it may have",
  EMFILE: "this process has as many open files as it may have",
  ENFILE: "this machine has as many open files as it may have",
};

/** What a call means by an errno, whatever is mounted. */
const CALL_HINTS: Readonly<Record<string, string>> = {
  "move_mount EINVAL": "a directory goes on a directory and a file on a file, in a namespace of this process",
};

/**
 * The error for a failed attempt: `MOUNT_FAILED` with `errno`, `call` and `hint` in its details. What is an
 * {@link EsgzError} already, or the reason of a signal, stays as it is.
 */
export function mountFailure(thrown: unknown, attempt: MountAttempt): unknown {
  const errno = systemCodeOf(thrown);
  if (thrown instanceof EsgzError || errno === undefined) return thrown;
  const call = callOf(thrown);
  const hint = CALL_HINTS[`${call} ${errno}`] ?? attempt.hints?.[errno] ?? GENERAL_HINTS[errno];
  const said = attempt.kernelMessages ?? [];
  const reasons = [hint, said.length > 0 ? `the kernel says "${said.join("; ")}"` : undefined];
  const reason = reasons.filter((text) => text !== undefined).join("; ");
  const message = `Cannot ${attempt.action}: expected ${call} to succeed, got ${errno}`;
  return new EsgzError("MOUNT_FAILED", reason === "" ? message : `${message} (${reason})`, {
    cause: thrown,
    details: { errno, call, hint },
  });
}

/** The call, with its path for those that name one. */
function callOf(thrown: unknown): string {
  if (typeof thrown !== "object" || thrown === null || !("syscall" in thrown)) return messageOf(thrown);
  const call = String(thrown.syscall);
  return "path" in thrown ? `${call} of "${String(thrown.path)}"` : call;
}
