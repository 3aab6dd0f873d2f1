export {
  type Attributes,
  createAttributes,
  encodeDevice,
  type FuseTime,
  MODE_TYPES,
  type NodeType,
} from "./attributes.ts";
export { beginSession } from "./begin-session.ts";
export type * from "./change-messages.ts";
export { describeReply, describeRequest } from "./describe-message.ts";
export * from "./directory-messages.ts";
export { ROOT_NODE, type AttributesReply, type Entry } from "./entry.ts";
export { ERRNO, ErrnoError, errnoOf, type ErrnoName } from "./errno.ts";
export type * from "./file-messages.ts";
export * from "./filesystem.ts";
export { FuseConnection } from "./fuse-connection.ts";
export { INIT_FLAGS, type InitFlag } from "./init-flags.ts";
export type { InitReply, InitRequest } from "./init-message.ts";
export { decodeBody, encodeBody, type MessageCodec } from "./message-codec.ts";
export * from "./message-header.ts";
export { FuseMount, mountFuse, unmountFuse, type UnmountOptions } from "./mount-fuse.ts";
export { parseMountInfo, readMounts, type MountInfo } from "./mount-info.ts";
export type { FuseMountOptions } from "./mount-options.ts";
export * from "./negotiate-init.ts";
export { NodeTable } from "./node-table.ts";
export type {
  AccessRequest,
  BatchForgetRequest,
  FilesystemStatistics,
  ForgetRequest,
  GetattrRequest,
  InterruptRequest,
  NameRequest,
} from "./node-messages.ts";
export * from "./notification.ts";
export * from "./operations.ts";
export { RequestHandler, type RequestHandlerOptions } from "./request-handler.ts";
export { serveFuse, type FuseServer, type ServeFuseOptions } from "./serve-fuse.ts";
export type { StatxReply, StatxRequest } from "./statx-message.ts";
export type { FilesystemModule } from "./worker-start.ts";
export type { GetxattrRequest, ListxattrRequest, SetxattrRequest } from "./xattr-messages.ts";
