/**
 * How each operation is put to a {@link Filesystem}: one row each, the answer where a method is absent included.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import { isPromise } from "./is-promise.ts";
import {
  packDirectoryEntry,
  packDirectoryEntryPlus,
  type DirectoryEntry,
  type DirectoryEntryPlus,
} from "./directory-messages.ts";
import type { Entry } from "./entry.ts";
import { ErrnoError, type ErrnoName } from "./errno.ts";
import type { ReadRequest } from "./file-messages.ts";
import {
  DEFERRED,
  type Answer,
  type ChangeAttempt,
  type Filesystem,
  type RequestContext,
} from "./filesystem.ts";
import { encodeBody, type EmptyBody } from "./message-codec.ts";
import { MessageWriter } from "./message-writer.ts";
import type { FilesystemStatistics } from "./node-messages.ts";
import type { Operation, OperationName, Operations } from "./operations.ts";
import { encodeXattrNames, xattrSizeCodec } from "./xattr-messages.ts";

/** One request on its way. */
export interface Call {
  readonly filesystem: Filesystem;
  readonly node: number;
  readonly context: RequestContext;
  /** Room for content of this size, valid until the method returns. */
  readonly roomFor: (size: number) => Uint8Array;
}

type RequestOf<N extends OperationName> = Operations[N] extends Operation<infer R, infer _> ? R : never;
type ReplyOf<N extends OperationName> = Operations[N] extends Operation<infer _, infer R> ? R : never;

/** Puts one operation to a filesystem. */
export type Answerer<N extends OperationName> = (call: Call, request: RequestOf<N>) => Answer<ReplyOf<N>>;

/** All of them. Silent operations are told to the filesystem too; their answer goes nowhere. */
export const ANSWERERS: { readonly [N in OperationName]: Answerer<N> } = {
  LOOKUP: ({ filesystem, node, context }, { name }) =>
    isTooLong(name)
      ? fail("ENAMETOOLONG")
      : then(filesystem.lookup?.(node, name, context), (entry) => entry ?? fail("ENOENT")),
  FORGET: ({ filesystem, node }, { lookups }) => done(filesystem.forget?.(node, lookups)),
  BATCH_FORGET: ({ filesystem }, { forgets }) => {
    for (const { node, lookups } of forgets) filesystem.forget?.(node, lookups);
    return NOTHING;
  },
  GETATTR: ({ filesystem, node, context }, request) => filesystem.getattr(node, request, context),
  STATX: ({ filesystem, node, context }, request) =>
    filesystem.statx?.(node, request, context) ?? fail("ENOSYS"),
  READLINK: ({ filesystem, node, context }) => filesystem.readlink?.(node, context) ?? fail("EINVAL"),
  STATFS: ({ filesystem, node, context }) => filesystem.statfs?.(node, context) ?? NO_STATISTICS,
  ACCESS: ({ filesystem, node, context }, request) =>
    filesystem.access === undefined ? fail("ENOSYS") : done(filesystem.access(node, request, context)),
  GETXATTR: ({ filesystem, node, context }, { name, room }) =>
    filesystem.getxattr === undefined
      ? fail("ENOSYS")
      : then(filesystem.getxattr(node, name, context), (value) => fitXattr(value ?? fail("ENODATA"), room)),
  LISTXATTR: ({ filesystem, node, context }, { room }) =>
    filesystem.listxattr === undefined
      ? fail("ENOSYS")
      : then(filesystem.listxattr(node, context), (names) => fitXattr(encodeXattrNames(names), room)),

  OPEN: ({ filesystem, node, context }, request) =>
    filesystem.open?.(node, request, context) ?? fail("ENOSYS"),
  READ: (call, { handle, offset, size }) => {
    const { filesystem, node, context } = call;
    if (filesystem.read === undefined) return fail("EIO");
    return filesystem.read(node, { handle, offset, size, buffer: call.roomFor(size) }, context);
  },
  FLUSH: ({ filesystem, node, context }, request) =>
    filesystem.flush === undefined ? fail("ENOSYS") : done(filesystem.flush(node, request, context)),
  RELEASE: ({ filesystem, node }, request) => done(filesystem.release?.(node, request)),
  FSYNC: () => fail("ENOSYS"),
  LSEEK: ({ filesystem, node, context }, request) =>
    filesystem.lseek?.(node, request, context) ?? fail("ENOSYS"),
  IOCTL: ({ filesystem, node, context }, request) =>
    filesystem.ioctl?.(node, request, context) ?? fail("ENOSYS"),
  POLL: () => fail("ENOSYS"),
  BMAP: () => fail("ENOSYS"),

  OPENDIR: ({ filesystem, node, context }, request) =>
    filesystem.opendir?.(node, request, context) ?? fail("ENOSYS"),
  READDIR: (call, request) => listNames(call, request),
  READDIRPLUS: (call, request) =>
    call.filesystem.readdirplus === undefined
      ? listWithoutLookups(call, request)
      : listLookups(call, request),
  RELEASEDIR: ({ filesystem, node }, request) => done(filesystem.releasedir?.(node, request)),
  FSYNCDIR: () => fail("ENOSYS"),

  DESTROY: ({ filesystem }) => done(filesystem.destroy?.()),
  // Agreed on before the first request is handed on, and interrupts and notifications are the handler's own.
  INIT: () => fail("EPROTO"),
  INTERRUPT: () => NOTHING,
  NOTIFY_REPLY: () => NOTHING,

  SETATTR: () => fail("EROFS"),
  SYMLINK: () => fail("EROFS"),
  MKNOD: (call, { name }) => refuse(call, { operation: "mknod", name }),
  MKDIR: (call, { name }) => refuse(call, { operation: "mkdir", name }),
  UNLINK: (call, { name }) => refuse(call, { operation: "unlink", name }),
  RMDIR: (call, { name }) => refuse(call, { operation: "rmdir", name }),
  RENAME: () => fail("EROFS"),
  RENAME2: () => fail("EROFS"),
  LINK: () => fail("EROFS"),
  WRITE: () => fail("EROFS"),
  CREATE: (call, { name }) => refuse(call, { operation: "create", name }),
  TMPFILE: () => fail("EROFS"),
  SETXATTR: () => fail("EROFS"),
  REMOVEXATTR: () => fail("EROFS"),
  FALLOCATE: () => fail("EROFS"),
  COPY_FILE_RANGE: () => fail("EROFS"),
  COPY_FILE_RANGE_64: () => fail("EROFS"),

  GETLK: () => fail("ENOSYS"),
  SETLK: () => fail("ENOSYS"),
  SETLKW: () => fail("ENOSYS"),
  SETUPMAPPING: () => fail("ENOSYS"),
  REMOVEMAPPING: () => fail("ENOSYS"),
  SYNCFS: () => fail("ENOSYS"),
};

const NAME_LIMIT = 255;

const NOTHING: EmptyBody = Object.freeze({});

const NO_STATISTICS: FilesystemStatistics = {
  blocks: 0,
  blocksFree: 0,
  blocksAvailable: 0,
  files: 0,
  filesFree: 0,
  blockSize: 4096,
  nameLimit: 255,
  fragmentSize: 4096,
};

function refuse(
  { filesystem, node, context }: Call,
  attempt: Pick<ChangeAttempt, "operation" | "name">,
): Answer<never> {
  if (filesystem.refuse === undefined) return fail("EROFS");
  return then(filesystem.refuse({ ...attempt, directory: node }, context), (errno) => fail(errno));
}

function listNames(call: Call, request: ReadRequest): Answer<Uint8Array> {
  const { filesystem, node, context } = call;
  if (filesystem.readdir === undefined) return fail("ENOSYS");
  return then(filesystem.readdir(node, request, context), (items) =>
    pack(items, request, packDirectoryEntry),
  );
}

/** The kernel asks for lookups that this filesystem does not give: the names alone are an answer too. */
function listWithoutLookups(call: Call, request: ReadRequest): Answer<Uint8Array> {
  const { filesystem, node, context } = call;
  if (filesystem.readdir === undefined) return fail("ENOSYS");
  return then(filesystem.readdir(node, request, context), (items) =>
    pack(items, request, (writer, item: DirectoryEntry, room) =>
      packDirectoryEntryPlus(writer, { ...item, entry: undefined }, room),
    ),
  );
}

function listLookups(call: Call, request: ReadRequest): Answer<Uint8Array> {
  const { filesystem, node, context } = call;
  if (filesystem.readdirplus === undefined) return fail("ENOSYS");
  return then(filesystem.readdirplus(node, request, context), (items) =>
    pack(items, request, (writer, item: DirectoryEntryPlus, room) => {
      if (packDirectoryEntryPlus(writer, item, room)) return true;
      forgetEntry(filesystem, item.entry);
      return false;
    }),
  );
}

function forgetEntry(filesystem: Filesystem, entry: Entry | undefined): void {
  if (entry !== undefined && entry.node !== 0) filesystem.forget?.(entry.node, 1);
}

type Packer<T> = (
  writer: MessageWriter,
  item: T,
  room: { readonly start: number; readonly limit: number },
) => boolean;

function pack<T>(items: Iterable<T>, { size }: ReadRequest, packItem: Packer<T>): Uint8Array {
  const writer = new MessageWriter(Math.min(size, 4096));
  const room = { start: 0, limit: size };
  for (const item of items) if (!packItem(writer, item, room)) break;
  return writer.written();
}

/** The value, or its size where only that is asked for. */
function fitXattr(value: Uint8Array, room: number): Uint8Array {
  if (room === 0) return encodeBody(xattrSizeCodec, value.length);
  return value.length > room ? fail("ERANGE") : value;
}

/** The kernel lets longer names through to FUSE than any other Linux filesystem has. */
function isTooLong(name: string): boolean {
  // Most names are so short that no encoding could make them too long.
  return name.length > NAME_LIMIT / 3 && encodePathText(name).length > NAME_LIMIT;
}

/** Applies a function to an answer, whichever way it comes. */
function then<T, U>(answer: Answer<T>, convert: (value: T) => U): Answer<U> {
  if (answer === DEFERRED) return DEFERRED;
  return isPromise(answer) ? answer.then(convert) : convert(answer as T);
}

function done(answer: Answer<void>): Answer<EmptyBody> {
  return then(answer, () => NOTHING);
}

function fail(errno: ErrnoName): never {
  throw new ErrnoError(errno);
}
