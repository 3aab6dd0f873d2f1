/**
 * What `stat` shows of a node (`struct fuse_attr`).
 *
 *      8  inode number      8 size      8 blocks of 512 bytes
 *      8  seconds of atime  8 of mtime  8 of ctime
 *      4  nanoseconds of atime  4 of mtime  4 of ctime
 *      4  mode   4 nlink   4 uid   4 gid   4 rdev   4 block size   4 flags
 *     --
 *     88
 *
 * @module
 */
import type { MessageCodec } from "./message-codec.ts";

/** A moment: whole seconds since 1970, negative before, and nanoseconds after them. */
export interface FuseTime {
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
}

/** What `stat(2)` shows of a node. */
export interface Attributes {
  /** Shown to users; need not be the node id. */
  readonly inode: number;
  /** In bytes. */
  readonly size: number;
  /** In units of 512 bytes. */
  readonly blocks: number;
  readonly atime: FuseTime;
  readonly mtime: FuseTime;
  readonly ctime: FuseTime;
  /** The type and the permissions, as `st_mode`. */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  /** Of a device node, in the kernel's encoding: {@linkcode encodeDevice}. */
  readonly rdev: number;
  /** The preferred size of reads. */
  readonly blockSize: number;
}

/** `struct fuse_attr`. */
export const attributesCodec: MessageCodec<Attributes> = {
  decode(reader) {
    const [inode, size, blocks] = [reader.u64(), reader.u64(), reader.u64()];
    const [atime, mtime, ctime] = [reader.i64(), reader.i64(), reader.i64()];
    const [atimeNs, mtimeNs, ctimeNs] = [reader.u32(), reader.u32(), reader.u32()];
    const attributes = {
      inode,
      size,
      blocks,
      atime: { seconds: atime, nanoseconds: atimeNs },
      mtime: { seconds: mtime, nanoseconds: mtimeNs },
      ctime: { seconds: ctime, nanoseconds: ctimeNs },
      mode: reader.u32(),
      nlink: reader.u32(),
      uid: reader.u32(),
      gid: reader.u32(),
      rdev: reader.u32(),
      blockSize: reader.u32(),
    };
    reader.skip(4);
    return attributes;
  },
  encode(value, writer) {
    writer.u64(value.inode).u64(value.size).u64(value.blocks);
    writer.i64(value.atime.seconds).i64(value.mtime.seconds).i64(value.ctime.seconds);
    writer.u32(value.atime.nanoseconds).u32(value.mtime.nanoseconds).u32(value.ctime.nanoseconds);
    writer.u32(value.mode).u32(value.nlink).u32(value.uid).u32(value.gid).u32(value.rdev);
    writer.u32(value.blockSize).zeros(4);
  },
};

/** The types of nodes, as bits of a mode (`S_IFMT`). */
export const MODE_TYPES = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  reg: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** A type of node. */
export type NodeType = keyof typeof MODE_TYPES;

const EPOCH: FuseTime = Object.freeze({ seconds: 0, nanoseconds: 0 });

/** Full attributes from what matters: sensible values for the rest, of a node of this type and these permissions. */
export function createAttributes(
  type: NodeType,
  known: Partial<Attributes> & { readonly permissions?: number },
): Attributes {
  const { permissions = type === "dir" ? 0o755 : 0o644, ...fields } = known;
  const size = fields.size ?? 0;
  return {
    inode: 0,
    size,
    blocks: Math.ceil(size / 512),
    atime: fields.mtime ?? EPOCH,
    mtime: EPOCH,
    ctime: fields.mtime ?? EPOCH,
    mode: MODE_TYPES[type] | permissions,
    nlink: type === "dir" ? 2 : 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    blockSize: 4096,
    ...fields,
  };
}

/** A device number as the kernel writes it in 32 bits: 12 bits of major between the 20 of minor. */
export function encodeDevice(major: number, minor: number): number {
  return ((minor & 0xff) | ((major & 0xfff) << 8) | ((minor & ~0xff) << 12)) >>> 0;
}
