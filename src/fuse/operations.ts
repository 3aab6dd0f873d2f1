/**
 * Every operation of the protocol, one row each: its number, and how request and reply are read and written.
 *
 * Adding an operation is adding a row; maps by number and by name are computed from it.
 *
 * @module
 */
import {
  copyFileRangeCodec,
  createCodec,
  fallocateCodec,
  linkCodec,
  mkdirCodec,
  mknodCodec,
  rename2Codec,
  renameCodec,
  setattrCodec,
  symlinkCodec,
  writeCodec,
  type CopyFileRangeRequest,
  type CreateRequest,
  type FallocateRequest,
  type LinkRequest,
  type MkdirRequest,
  type MknodRequest,
  type RenameRequest,
  type SetattrRequest,
  type SymlinkRequest,
  type WriteRequest,
} from "./change-messages.ts";
import { attributesReplyCodec, entryCodec, type AttributesReply, type Entry } from "./entry.ts";
import {
  bmapCodec,
  flushCodec,
  fsyncCodec,
  ioctlCodec,
  ioctlReplyCodec,
  lseekCodec,
  offsetCodec,
  openCodec,
  openReplyCodec,
  pollCodec,
  readCodec,
  releaseCodec,
  type BmapRequest,
  type FlushRequest,
  type FsyncRequest,
  type IoctlReply,
  type IoctlRequest,
  type LseekRequest,
  type OpenReply,
  type OpenRequest,
  type PollRequest,
  type ReadRequest,
  type ReleaseRequest,
} from "./file-messages.ts";
import { initReplyCodec, initRequestCodec, type InitReply, type InitRequest } from "./init-message.ts";
import { emptyBody, rawBody, type EmptyBody, type MessageCodec } from "./message-codec.ts";
import {
  accessCodec,
  batchForgetCodec,
  forgetCodec,
  getattrCodec,
  interruptCodec,
  linkTargetCodec,
  nameCodec,
  statisticsCodec,
  type AccessRequest,
  type BatchForgetRequest,
  type FilesystemStatistics,
  type ForgetRequest,
  type GetattrRequest,
  type InterruptRequest,
  type NameRequest,
} from "./node-messages.ts";
import { statxCodec, statxReplyCodec, type StatxReply, type StatxRequest } from "./statx-message.ts";
import {
  getxattrCodec,
  listxattrCodec,
  setxattrCodec,
  type GetxattrRequest,
  type ListxattrRequest,
  type SetxattrRequest,
} from "./xattr-messages.ts";

/** One operation. */
export interface Operation<Request, Reply> {
  /** The number in the header of requests. */
  readonly opcode: number;
  readonly request: MessageCodec<Request>;
  /** Of replies without an error. */
  readonly reply: MessageCodec<Reply>;
  /** The kernel waits for no reply, and takes none. */
  readonly silent?: boolean;
}

/** The operations by name. Replies that depend on the request (xattrs, directories) are raw bytes here. */
export interface Operations {
  readonly LOOKUP: Operation<NameRequest, Entry>;
  readonly FORGET: Operation<ForgetRequest, EmptyBody>;
  readonly GETATTR: Operation<GetattrRequest, AttributesReply>;
  readonly SETATTR: Operation<SetattrRequest, AttributesReply>;
  readonly READLINK: Operation<EmptyBody, string>;
  readonly SYMLINK: Operation<SymlinkRequest, Entry>;
  readonly MKNOD: Operation<MknodRequest, Entry>;
  readonly MKDIR: Operation<MkdirRequest, Entry>;
  readonly UNLINK: Operation<NameRequest, EmptyBody>;
  readonly RMDIR: Operation<NameRequest, EmptyBody>;
  readonly RENAME: Operation<RenameRequest, EmptyBody>;
  readonly LINK: Operation<LinkRequest, Entry>;
  readonly OPEN: Operation<OpenRequest, OpenReply>;
  readonly READ: Operation<ReadRequest, Uint8Array>;
  readonly WRITE: Operation<WriteRequest, Uint8Array>;
  readonly STATFS: Operation<EmptyBody, FilesystemStatistics>;
  readonly RELEASE: Operation<ReleaseRequest, EmptyBody>;
  readonly FSYNC: Operation<FsyncRequest, EmptyBody>;
  readonly SETXATTR: Operation<SetxattrRequest, EmptyBody>;
  readonly GETXATTR: Operation<GetxattrRequest, Uint8Array>;
  readonly LISTXATTR: Operation<ListxattrRequest, Uint8Array>;
  readonly REMOVEXATTR: Operation<NameRequest, EmptyBody>;
  readonly FLUSH: Operation<FlushRequest, EmptyBody>;
  readonly INIT: Operation<InitRequest, InitReply>;
  readonly OPENDIR: Operation<OpenRequest, OpenReply>;
  readonly READDIR: Operation<ReadRequest, Uint8Array>;
  readonly RELEASEDIR: Operation<ReleaseRequest, EmptyBody>;
  readonly FSYNCDIR: Operation<FsyncRequest, EmptyBody>;
  readonly GETLK: Operation<Uint8Array, Uint8Array>;
  readonly SETLK: Operation<Uint8Array, EmptyBody>;
  readonly SETLKW: Operation<Uint8Array, EmptyBody>;
  readonly ACCESS: Operation<AccessRequest, EmptyBody>;
  readonly CREATE: Operation<CreateRequest, Uint8Array>;
  readonly INTERRUPT: Operation<InterruptRequest, EmptyBody>;
  readonly BMAP: Operation<BmapRequest, number>;
  readonly DESTROY: Operation<EmptyBody, EmptyBody>;
  readonly IOCTL: Operation<IoctlRequest, IoctlReply>;
  readonly POLL: Operation<PollRequest, Uint8Array>;
  readonly NOTIFY_REPLY: Operation<Uint8Array, EmptyBody>;
  readonly BATCH_FORGET: Operation<BatchForgetRequest, EmptyBody>;
  readonly FALLOCATE: Operation<FallocateRequest, EmptyBody>;
  readonly READDIRPLUS: Operation<ReadRequest, Uint8Array>;
  readonly RENAME2: Operation<RenameRequest, EmptyBody>;
  readonly LSEEK: Operation<LseekRequest, number>;
  readonly COPY_FILE_RANGE: Operation<CopyFileRangeRequest, Uint8Array>;
  readonly SETUPMAPPING: Operation<Uint8Array, EmptyBody>;
  readonly REMOVEMAPPING: Operation<Uint8Array, EmptyBody>;
  readonly SYNCFS: Operation<Uint8Array, EmptyBody>;
  readonly TMPFILE: Operation<CreateRequest, Uint8Array>;
  readonly STATX: Operation<StatxRequest, StatxReply>;
  readonly COPY_FILE_RANGE_64: Operation<CopyFileRangeRequest, Uint8Array>;
}

/** The name of an operation. */
export type OperationName = keyof Operations;

/** The table (`enum fuse_opcode`). */
export const OPERATIONS: Operations = {
  LOOKUP: { opcode: 1, request: nameCodec, reply: entryCodec },
  FORGET: { opcode: 2, request: forgetCodec, reply: emptyBody, silent: true },
  GETATTR: { opcode: 3, request: getattrCodec, reply: attributesReplyCodec },
  SETATTR: { opcode: 4, request: setattrCodec, reply: attributesReplyCodec },
  READLINK: { opcode: 5, request: emptyBody, reply: linkTargetCodec },
  SYMLINK: { opcode: 6, request: symlinkCodec, reply: entryCodec },
  MKNOD: { opcode: 8, request: mknodCodec, reply: entryCodec },
  MKDIR: { opcode: 9, request: mkdirCodec, reply: entryCodec },
  UNLINK: { opcode: 10, request: nameCodec, reply: emptyBody },
  RMDIR: { opcode: 11, request: nameCodec, reply: emptyBody },
  RENAME: { opcode: 12, request: renameCodec, reply: emptyBody },
  LINK: { opcode: 13, request: linkCodec, reply: entryCodec },
  OPEN: { opcode: 14, request: openCodec, reply: openReplyCodec },
  READ: { opcode: 15, request: readCodec, reply: rawBody },
  WRITE: { opcode: 16, request: writeCodec, reply: rawBody },
  STATFS: { opcode: 17, request: emptyBody, reply: statisticsCodec },
  RELEASE: { opcode: 18, request: releaseCodec, reply: emptyBody },
  FSYNC: { opcode: 20, request: fsyncCodec, reply: emptyBody },
  SETXATTR: { opcode: 21, request: setxattrCodec, reply: emptyBody },
  GETXATTR: { opcode: 22, request: getxattrCodec, reply: rawBody },
  LISTXATTR: { opcode: 23, request: listxattrCodec, reply: rawBody },
  REMOVEXATTR: { opcode: 24, request: nameCodec, reply: emptyBody },
  FLUSH: { opcode: 25, request: flushCodec, reply: emptyBody },
  INIT: { opcode: 26, request: initRequestCodec, reply: initReplyCodec },
  OPENDIR: { opcode: 27, request: openCodec, reply: openReplyCodec },
  READDIR: { opcode: 28, request: readCodec, reply: rawBody },
  RELEASEDIR: { opcode: 29, request: releaseCodec, reply: emptyBody },
  FSYNCDIR: { opcode: 30, request: fsyncCodec, reply: emptyBody },
  GETLK: { opcode: 31, request: rawBody, reply: rawBody },
  SETLK: { opcode: 32, request: rawBody, reply: emptyBody },
  SETLKW: { opcode: 33, request: rawBody, reply: emptyBody },
  ACCESS: { opcode: 34, request: accessCodec, reply: emptyBody },
  CREATE: { opcode: 35, request: createCodec, reply: rawBody },
  INTERRUPT: { opcode: 36, request: interruptCodec, reply: emptyBody, silent: true },
  BMAP: { opcode: 37, request: bmapCodec, reply: offsetCodec },
  DESTROY: { opcode: 38, request: emptyBody, reply: emptyBody },
  IOCTL: { opcode: 39, request: ioctlCodec, reply: ioctlReplyCodec },
  POLL: { opcode: 40, request: pollCodec, reply: rawBody },
  NOTIFY_REPLY: { opcode: 41, request: rawBody, reply: emptyBody, silent: true },
  BATCH_FORGET: { opcode: 42, request: batchForgetCodec, reply: emptyBody, silent: true },
  FALLOCATE: { opcode: 43, request: fallocateCodec, reply: emptyBody },
  READDIRPLUS: { opcode: 44, request: readCodec, reply: rawBody },
  RENAME2: { opcode: 45, request: rename2Codec, reply: emptyBody },
  LSEEK: { opcode: 46, request: lseekCodec, reply: offsetCodec },
  COPY_FILE_RANGE: { opcode: 47, request: copyFileRangeCodec, reply: rawBody },
  SETUPMAPPING: { opcode: 48, request: rawBody, reply: emptyBody },
  REMOVEMAPPING: { opcode: 49, request: rawBody, reply: emptyBody },
  SYNCFS: { opcode: 50, request: rawBody, reply: emptyBody },
  TMPFILE: { opcode: 51, request: createCodec, reply: rawBody },
  STATX: { opcode: 52, request: statxCodec, reply: statxReplyCodec },
  COPY_FILE_RANGE_64: { opcode: 53, request: copyFileRangeCodec, reply: rawBody },
};

const NAMES: readonly (OperationName | undefined)[] = namesByOpcode();

/** The name of an opcode, or undefined for one that this protocol version does not have. */
export function operationName(opcode: number): OperationName | undefined {
  return NAMES[opcode];
}

function namesByOpcode(): (OperationName | undefined)[] {
  const names: (OperationName | undefined)[] = [];
  for (const [name, { opcode }] of Object.entries(OPERATIONS)) names[opcode] = name as OperationName;
  return names;
}
