/**
 * Requests that change a filesystem. A read-only one refuses them; they are decoded for tools and logs.
 *
 *     setattr           4 valid, 4 padding, 8 handle, 8 size, 8 lock owner, 8 + 8 + 8 seconds of atime, mtime, ctime,
 *                       4 + 4 + 4 nanoseconds of them, 4 mode, 4 unused, 4 uid, 4 gid, 4 unused
 *     symlink           name, zero byte, target, zero byte
 *     mknod             4 mode, 4 rdev, 4 umask, 4 padding, name, zero byte
 *     mkdir             4 mode, 4 umask, name, zero byte
 *     rename            8 node of the new directory, old name, zero byte, new name, zero byte
 *     rename2           the same with 4 flags, 4 padding after the node
 *     link              8 node, name, zero byte
 *     create, tmpfile   4 flags of open(2), 4 mode, 4 umask, 4 more flags, name, zero byte
 *     write             8 handle, 8 offset, 4 size, 4 flags, 8 lock owner, 4 flags of open(2), 4 padding, bytes
 *     fallocate         8 handle, 8 offset, 8 size, 4 mode, 4 padding
 *     copy_file_range   8 handle, 8 offset, 8 other node, 8 other handle, 8 other offset, 8 size, 8 flags
 *
 * @module
 */
import type { FuseTime } from "./attributes.ts";
import { readName, writeName, type MessageCodec } from "./message-codec.ts";

/** New attributes; those whose bit in `valid` (`FATTR_*`) is not set have no meaning. */
export interface SetattrRequest {
  readonly valid: number;
  readonly handle: number;
  readonly size: number;
  readonly lockOwner: bigint;
  readonly atime: FuseTime;
  readonly mtime: FuseTime;
  readonly ctime: FuseTime;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A new symbolic link. */
export interface SymlinkRequest {
  readonly name: string;
  readonly target: string;
}

/** A new node. */
export interface MknodRequest {
  readonly mode: number;
  readonly rdev: number;
  readonly umask: number;
  readonly name: string;
}

/** A new directory. */
export interface MkdirRequest {
  readonly mode: number;
  readonly umask: number;
  readonly name: string;
}

/** A name that moves. */
export interface RenameRequest {
  readonly newDirectory: number;
  /** `RENAME_*`; 0 in the older form. */
  readonly flags: number;
  readonly oldName: string;
  readonly newName: string;
}

/** Another name of a node. */
export interface LinkRequest {
  readonly node: number;
  readonly name: string;
}

/** A new file, opened at once. */
export interface CreateRequest {
  readonly flags: number;
  readonly mode: number;
  readonly umask: number;
  readonly name: string;
}

/** Bytes for a file. */
export interface WriteRequest {
  readonly handle: number;
  readonly offset: number;
  readonly writeFlags: number;
  readonly lockOwner: bigint;
  readonly flags: number;
  readonly bytes: Uint8Array;
}

/** Room for a file. */
export interface FallocateRequest {
  readonly handle: number;
  readonly offset: number;
  readonly size: number;
  readonly mode: number;
}

/** Bytes from one file for another. */
export interface CopyFileRangeRequest {
  readonly handle: number;
  readonly offset: number;
  readonly targetNode: number;
  readonly targetHandle: number;
  readonly targetOffset: number;
  readonly size: number;
  readonly flags: number;
}

/** `struct fuse_setattr_in`. */
export const setattrCodec: MessageCodec<SetattrRequest> = {
  decode(reader) {
    const valid = reader.u32();
    reader.skip(4);
    const [handle, size, lockOwner] = [reader.u64(), reader.u64(), reader.big64()];
    const seconds = [reader.i64(), reader.i64(), reader.i64()] as const;
    const nanoseconds = [reader.u32(), reader.u32(), reader.u32()] as const;
    const mode = reader.u32();
    reader.skip(4);
    const [uid, gid] = [reader.u32(), reader.u32()];
    reader.skip(4);
    return {
      valid,
      handle,
      size,
      lockOwner,
      atime: { seconds: seconds[0], nanoseconds: nanoseconds[0] },
      mtime: { seconds: seconds[1], nanoseconds: nanoseconds[1] },
      ctime: { seconds: seconds[2], nanoseconds: nanoseconds[2] },
      mode,
      uid,
      gid,
    };
  },
  encode(value, writer) {
    const { atime, mtime, ctime } = value;
    writer.u32(value.valid).zeros(4).u64(value.handle).u64(value.size).big64(value.lockOwner);
    writer.i64(atime.seconds).i64(mtime.seconds).i64(ctime.seconds);
    writer.u32(atime.nanoseconds).u32(mtime.nanoseconds).u32(ctime.nanoseconds);
    writer.u32(value.mode).zeros(4).u32(value.uid).u32(value.gid).zeros(4);
  },
};

/** Name and target. */
export const symlinkCodec: MessageCodec<SymlinkRequest> = {
  decode: (reader) => ({ name: readName(reader), target: readName(reader) }),
  encode: (value, writer) => {
    writeName(value.name, writer);
    writeName(value.target, writer);
  },
};

/** `struct fuse_mknod_in` and the name. */
export const mknodCodec: MessageCodec<MknodRequest> = {
  decode(reader) {
    const [mode, rdev, umask] = [reader.u32(), reader.u32(), reader.u32()];
    reader.skip(4);
    return { mode, rdev, umask, name: readName(reader) };
  },
  encode(value, writer) {
    writer.u32(value.mode).u32(value.rdev).u32(value.umask).zeros(4);
    writeName(value.name, writer);
  },
};

/** `struct fuse_mkdir_in` and the name. */
export const mkdirCodec: MessageCodec<MkdirRequest> = {
  decode: (reader) => ({ mode: reader.u32(), umask: reader.u32(), name: readName(reader) }),
  encode(value, writer) {
    writer.u32(value.mode).u32(value.umask);
    writeName(value.name, writer);
  },
};

/** `struct fuse_rename_in` and both names. */
export const renameCodec: MessageCodec<RenameRequest> = {
  decode: (reader) => ({
    newDirectory: reader.u64(),
    flags: 0,
    oldName: readName(reader),
    newName: readName(reader),
  }),
  encode(value, writer) {
    writer.u64(value.newDirectory);
    writeName(value.oldName, writer);
    writeName(value.newName, writer);
  },
};

/** `struct fuse_rename2_in` and both names. */
export const rename2Codec: MessageCodec<RenameRequest> = {
  decode(reader) {
    const [newDirectory, flags] = [reader.u64(), reader.u32()];
    reader.skip(4);
    return { newDirectory, flags, oldName: readName(reader), newName: readName(reader) };
  },
  encode(value, writer) {
    writer.u64(value.newDirectory).u32(value.flags).zeros(4);
    writeName(value.oldName, writer);
    writeName(value.newName, writer);
  },
};

/** `struct fuse_link_in` and the name. */
export const linkCodec: MessageCodec<LinkRequest> = {
  decode: (reader) => ({ node: reader.u64(), name: readName(reader) }),
  encode(value, writer) {
    writer.u64(value.node);
    writeName(value.name, writer);
  },
};

/** `struct fuse_create_in` and the name. */
export const createCodec: MessageCodec<CreateRequest> = {
  decode(reader) {
    const [flags, mode, umask] = [reader.u32(), reader.u32(), reader.u32()];
    reader.skip(4);
    return { flags, mode, umask, name: readName(reader) };
  },
  encode(value, writer) {
    writer.u32(value.flags).u32(value.mode).u32(value.umask).zeros(4);
    writeName(value.name, writer);
  },
};

/** `struct fuse_write_in` and the bytes. */
export const writeCodec: MessageCodec<WriteRequest> = {
  decode(reader) {
    const [handle, offset, size, writeFlags] = [reader.u64(), reader.u64(), reader.u32(), reader.u32()];
    const [lockOwner, flags] = [reader.big64(), reader.u32()];
    reader.skip(4);
    return { handle, offset, writeFlags, lockOwner, flags, bytes: reader.bytes(size) };
  },
  encode(value, writer) {
    writer.u64(value.handle).u64(value.offset).u32(value.bytes.length).u32(value.writeFlags);
    writer.big64(value.lockOwner).u32(value.flags).zeros(4).bytes(value.bytes);
  },
};

/** `struct fuse_fallocate_in`. */
export const fallocateCodec: MessageCodec<FallocateRequest> = {
  decode(reader) {
    const value = { handle: reader.u64(), offset: reader.u64(), size: reader.u64(), mode: reader.u32() };
    reader.skip(4);
    return value;
  },
  encode: (value, writer) => {
    writer.u64(value.handle).u64(value.offset).u64(value.size).u32(value.mode).zeros(4);
  },
};

/** `struct fuse_copy_file_range_in`. */
export const copyFileRangeCodec: MessageCodec<CopyFileRangeRequest> = {
  decode: (reader) => ({
    handle: reader.u64(),
    offset: reader.u64(),
    targetNode: reader.u64(),
    targetHandle: reader.u64(),
    targetOffset: reader.u64(),
    size: reader.u64(),
    flags: reader.u64(),
  }),
  encode(value, writer) {
    writer.u64(value.handle).u64(value.offset).u64(value.targetNode).u64(value.targetHandle);
    writer.u64(value.targetOffset).u64(value.size).u64(value.flags);
  },
};
