/**
 * What the author of a filesystem writes: methods named after system calls, all optional but `getattr`.
 *
 * Ideas to know first:
 *
 * - A *node* is a number that stands for a file or directory, chosen by the filesystem; the root is `ROOT_NODE`. The
 *   kernel knows a node from the first entry that names it until its lookups are forgotten. `NodeTable` keeps count where
 *   nodes are not known by themselves.
 * - A *handle* is a number for one open file, chosen by `open`. Stateless servers leave it at 0.
 * - A method that returns a value is answered at once, on the thread of the device loop. One that returns a promise is
 *   answered when it settles, while other requests go on. One that returns {@linkcode DEFERRED} leaves the answer to the
 *   filesystem given as `deferred` to `serveFuse()`, on the thread that called it.
 * - To answer with an error, throw an `ErrnoError`, or let failed calls of `node:fs` pass: their errno is kept. Other
 *   errors are answered as `errnoOf()` says, and reported to `onError`.
 * - A method must not use the mount that it serves, nor wait for anything that does: that waits for itself.
 *
 * @module
 */
import type { DirectoryEntry, DirectoryEntryPlus } from "./directory-messages.ts";
import type { AttributesReply, Entry } from "./entry.ts";
import type { IoctlReply, IoctlRequest, LseekRequest, OpenReply, OpenRequest } from "./file-messages.ts";
import type { FilesystemStatistics } from "./node-messages.ts";
import type { ErrnoName } from "./errno.ts";
import type { StatxReply, StatxRequest } from "./statx-message.ts";

/** Says that another filesystem object answers, on another thread. */
export const DEFERRED: unique symbol = Symbol("deferred");

/** What a method returns: a value, a promise of it, or {@linkcode DEFERRED}. */
export type Answer<T> = T | Promise<T> | typeof DEFERRED;

/** Who asks. */
export interface RequestContext {
  readonly uid: number;
  readonly gid: number;
  /** 0 where the kernel asks for itself (read-ahead), or the process is not visible here. */
  readonly pid: number;
  /** Names the request in replies that are written by hand. */
  readonly unique: bigint;
  /** An earlier server read this request and did not answer it. */
  readonly resent: boolean;
  /** Aborted when a signal interrupts the caller; an answer that then fails is EINTR. Only promises live long enough. */
  readonly signal: AbortSignal;
}

/** A part of an open file. */
export interface ReadOptions {
  readonly handle: number;
  /** In bytes. */
  readonly offset: number;
  /** The most bytes to answer with; fewer mean the end of the file. */
  readonly size: number;
  /**
   * Room of `size` bytes that the answer may be put into and returned as a part of, which saves a copy. It is used again:
   * a method that returns a promise must not touch it after it returned.
   */
  readonly buffer: Uint8Array;
}

/** A part of what a directory lists. */
export interface ReaddirOptions {
  readonly handle: number;
  /** 0, or the `offset` of the last entry that the kernel took: go on after that. */
  readonly offset: number;
}

/** Somebody tries to make a name, or to remove one. */
export interface ChangeAttempt {
  readonly operation: "create" | "mkdir" | "mknod" | "rmdir" | "unlink";
  readonly directory: number;
  readonly name: string;
}

/** A filesystem, read-only: operations that change something are answered with EROFS, or as `refuse` says. */
export interface Filesystem {
  /**
   * The node of a name of at most 255 bytes in a directory; undefined is ENOENT. An entry counts as one lookup of its node; an entry with node
   * 0 is ENOENT that may be cached. Absent: nothing is ever found.
   */
  lookup?(directory: number, name: string, context: RequestContext): Answer<Entry | undefined>;

  /** The kernel lets go of `lookups` lookups of a node; not told when the mount ends. Absent: nothing happens. */
  forget?(node: number, lookups: number): void;

  /** The attributes of a node. The only method that must be there: without a root there is no mount. */
  getattr(
    node: number,
    options: { readonly handle: number | undefined },
    context: RequestContext,
  ): Answer<AttributesReply>;

  /** As `getattr`, with the time of birth. Absent: the kernel uses `getattr` from then on. */
  statx?(node: number, options: StatxRequest, context: RequestContext): Answer<StatxReply>;

  /** The target of a symbolic link, as path text. Absent: EINVAL. */
  readlink?(node: number, context: RequestContext): Answer<string>;

  /** Opens a file. Absent: every file can be opened, its handle is 0, its cached content stays, `release` is not called. */
  open?(node: number, options: OpenRequest, context: RequestContext): Answer<OpenReply>;

  /** The bytes of a part of a file. Absent: EIO. */
  read?(node: number, options: ReadOptions, context: RequestContext): Answer<Uint8Array>;

  /** One of the users of an open file closed it; an error is what `close(2)` shows. Absent: not asked again. */
  flush?(node: number, options: { readonly handle: number }, context: RequestContext): Answer<void>;

  /** The last user of an open file closed it. Absent: nothing happens. */
  release?(node: number, options: { readonly handle: number }): void;

  /** `SEEK_DATA` and `SEEK_HOLE`. Absent: the file has no holes. */
  lseek?(node: number, options: LseekRequest, context: RequestContext): Answer<number>;

  /** Opens a directory. Absent: as for `open`, and listings are cached. */
  opendir?(node: number, options: OpenRequest, context: RequestContext): Answer<OpenReply>;

  /** The names in a directory after an offset, lazily: no more are taken than fit. Absent: ENOSYS. */
  readdir?(node: number, options: ReaddirOptions, context: RequestContext): Answer<Iterable<DirectoryEntry>>;

  /**
   * The names with their lookups. Each entry counts as one lookup of its node; one that was taken and did not fit is
   * forgotten at once. Absent: names without lookups are listed.
   */
  readdirplus?(
    node: number,
    options: ReaddirOptions,
    context: RequestContext,
  ): Answer<Iterable<DirectoryEntryPlus>>;

  /** The last user of an open directory closed it. Absent: nothing happens. */
  releasedir?(node: number, options: { readonly handle: number }): void;

  /** What `statfs(2)` shows. Absent: zeros. */
  statfs?(node: number, context: RequestContext): Answer<FilesystemStatistics>;

  /** The value of an attribute; undefined is ENODATA. Absent: EOPNOTSUPP, and not asked again. */
  getxattr?(node: number, name: string, context: RequestContext): Answer<Uint8Array | undefined>;

  /** The names of all attributes. Absent: EOPNOTSUPP, and not asked again. */
  listxattr?(node: number, context: RequestContext): Answer<Iterable<string>>;

  /** Whether the caller may access a node: throw EACCES if not. Absent: everything is allowed, and not asked again. */
  access?(node: number, options: { readonly mask: number }, context: RequestContext): Answer<void>;

  /** Absent: ENOTTY. */
  ioctl?(node: number, options: IoctlRequest, context: RequestContext): Answer<IoctlReply>;

  /**
   * The error to refuse an attempt with: nothing changes, but a filesystem may take attempts for messages. Only mounts that
   * were made with `attempts` let them through. Absent: EROFS.
   */
  refuse?(attempt: ChangeAttempt, context: RequestContext): Answer<ErrnoName>;

  /** The mount ended. Not called when the server is killed, nor on all kinds of mounts. Absent: nothing happens. */
  destroy?(): void;
}
