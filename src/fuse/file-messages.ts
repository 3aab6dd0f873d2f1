/**
 * Requests about open files and directories.
 *
 *     open, opendir          4 flags of open(2), 4 more flags
 *     its reply              8 handle, 4 flags, 4 backing id
 *     read, readdir          8 handle, 8 offset, 4 size, 4 read flags, 8 lock owner, 4 flags of open(2), 4 padding
 *     release, releasedir    8 handle, 4 flags of open(2), 4 release flags, 8 lock owner
 *     flush                  8 handle, 4 unused, 4 padding, 8 lock owner
 *     fsync, fsyncdir        8 handle, 4 flags, 4 padding
 *     lseek                  8 handle, 8 offset, 4 whence, 4 padding; reply: 8 offset
 *     ioctl                  8 handle, 4 flags, 4 command, 8 argument, 4 size of input, 4 of output, then the input
 *     its reply              4 result, 4 flags, 4 and 4 counts of vectors, then the output
 *     poll                   8 handle, 8 kernel handle, 4 flags, 4 events; reply: 4 events, 4 padding
 *     bmap                   8 block, 4 block size, 4 padding; reply: 8 block
 *
 * @module
 */
import type { MessageCodec } from "./message-codec.ts";

/** How a file is opened. */
export interface OpenRequest {
  /** As in `open(2)`: access mode and `O_*`. */
  readonly flags: number;
}

/** How an open file is treated by the kernel: bits of `FOPEN_*` by name. */
export interface OpenReply {
  /** The server's own number for the open file, told with each request about it. 0 if absent. */
  readonly handle?: number;
  /** Reads go to the server each time, past the page cache, in the sizes in which they are asked for. */
  readonly directIo?: boolean;
  /** What is cached of the file stays valid. */
  readonly keepCache?: boolean;
  readonly nonSeekable?: boolean;
  /** What a directory lists may be cached. */
  readonly cacheDirectory?: boolean;
  readonly stream?: boolean;
  /** No FLUSH when it is closed. */
  readonly noFlush?: boolean;
  readonly parallelDirectWrites?: boolean;
  /** The kernel reads from this open backing file by itself: an id of `openBacking()`. */
  readonly backing?: number;
}

/** A part of a file, or of what a directory lists. */
export interface ReadRequest {
  readonly handle: number;
  /** In bytes; in directories the offset that came with the last entry seen, or 0. */
  readonly offset: number;
  /** The most bytes to answer with. */
  readonly size: number;
  readonly readFlags: number;
  readonly lockOwner: bigint;
  /** Of the open file. */
  readonly flags: number;
}

/** The last user of an open file has closed it. */
export interface ReleaseRequest {
  readonly handle: number;
  readonly flags: number;
  readonly releaseFlags: number;
  readonly lockOwner: bigint;
}

/** Some user of an open file closed it. */
export interface FlushRequest {
  readonly handle: number;
  readonly lockOwner: bigint;
}

/** What `fsync(2)` asks. */
export interface FsyncRequest {
  readonly handle: number;
  /** Bit 0: data only. */
  readonly flags: number;
}

/** What `lseek(2)` asks with `SEEK_DATA` (3) or `SEEK_HOLE` (4). */
export interface LseekRequest {
  readonly handle: number;
  readonly offset: number;
  readonly whence: number;
}

/** What `ioctl(2)` asks. */
export interface IoctlRequest {
  readonly handle: number;
  readonly flags: number;
  readonly command: number;
  readonly argument: bigint;
  /** Room for output, in bytes. */
  readonly outputSize: number;
  readonly input: Uint8Array;
}

/** What an ioctl gives. */
export interface IoctlReply {
  readonly result: number;
  readonly output: Uint8Array;
}

/** What `poll(2)` asks. */
export interface PollRequest {
  readonly handle: number;
  readonly kernelHandle: bigint;
  readonly flags: number;
  readonly events: number;
}

/** What `FIBMAP` asks. */
export interface BmapRequest {
  readonly block: number;
  readonly blockSize: number;
}

const OPEN_BITS = {
  directIo: 1 << 0,
  keepCache: 1 << 1,
  nonSeekable: 1 << 2,
  cacheDirectory: 1 << 3,
  stream: 1 << 4,
  noFlush: 1 << 5,
  parallelDirectWrites: 1 << 6,
} as const;
const OPEN_PASSTHROUGH = 1 << 7;

/** `struct fuse_open_in`. */
export const openCodec: MessageCodec<OpenRequest> = {
  decode(reader) {
    const flags = reader.u32();
    reader.skip(4);
    return { flags };
  },
  encode: (value, writer) => {
    writer.u32(value.flags).zeros(4);
  },
};

/** `struct fuse_open_out`. */
export const openReplyCodec: MessageCodec<OpenReply> = {
  decode(reader) {
    const [handle, bits, backing] = [reader.u64(), reader.u32(), reader.i32()];
    const value: Record<string, number | boolean> = handle === 0 ? {} : { handle };
    for (const [name, bit] of Object.entries(OPEN_BITS)) if ((bits & bit) !== 0) value[name] = true;
    return (bits & OPEN_PASSTHROUGH) === 0 ? value : { ...value, backing };
  },
  encode(value, writer) {
    let bits = value.backing === undefined ? 0 : OPEN_PASSTHROUGH;
    if (value.directIo === true) bits |= OPEN_BITS.directIo;
    if (value.keepCache === true) bits |= OPEN_BITS.keepCache;
    if (value.nonSeekable === true) bits |= OPEN_BITS.nonSeekable;
    if (value.cacheDirectory === true) bits |= OPEN_BITS.cacheDirectory;
    if (value.stream === true) bits |= OPEN_BITS.stream;
    if (value.noFlush === true) bits |= OPEN_BITS.noFlush;
    if (value.parallelDirectWrites === true) bits |= OPEN_BITS.parallelDirectWrites;
    writer
      .u64(value.handle ?? 0)
      .u32(bits)
      .i32(value.backing ?? 0);
  },
};

/** `struct fuse_read_in`. */
export const readCodec: MessageCodec<ReadRequest> = {
  decode(reader) {
    const value = {
      handle: reader.u64(),
      offset: reader.u64(),
      size: reader.u32(),
      readFlags: reader.u32(),
      lockOwner: reader.big64(),
      flags: reader.u32(),
    };
    reader.skip(4);
    return value;
  },
  encode(value, writer) {
    writer.u64(value.handle).u64(value.offset).u32(value.size).u32(value.readFlags);
    writer.big64(value.lockOwner).u32(value.flags).zeros(4);
  },
};

/** `struct fuse_release_in`. */
export const releaseCodec: MessageCodec<ReleaseRequest> = {
  decode: (reader) => ({
    handle: reader.u64(),
    flags: reader.u32(),
    releaseFlags: reader.u32(),
    lockOwner: reader.big64(),
  }),
  encode: (value, writer) => {
    writer.u64(value.handle).u32(value.flags).u32(value.releaseFlags).big64(value.lockOwner);
  },
};

/** `struct fuse_flush_in`. */
export const flushCodec: MessageCodec<FlushRequest> = {
  decode(reader) {
    const handle = reader.u64();
    reader.skip(8);
    return { handle, lockOwner: reader.big64() };
  },
  encode: (value, writer) => {
    writer.u64(value.handle).zeros(8).big64(value.lockOwner);
  },
};

/** `struct fuse_fsync_in`. */
export const fsyncCodec: MessageCodec<FsyncRequest> = {
  decode(reader) {
    const [handle, flags] = [reader.u64(), reader.u32()];
    reader.skip(4);
    return { handle, flags };
  },
  encode: (value, writer) => {
    writer.u64(value.handle).u32(value.flags).zeros(4);
  },
};

/** `struct fuse_lseek_in`. */
export const lseekCodec: MessageCodec<LseekRequest> = {
  decode(reader) {
    const [handle, offset, whence] = [reader.u64(), reader.u64(), reader.u32()];
    reader.skip(4);
    return { handle, offset, whence };
  },
  encode: (value, writer) => {
    writer.u64(value.handle).u64(value.offset).u32(value.whence).zeros(4);
  },
};

/** `struct fuse_lseek_out`, `struct fuse_bmap_out`: one number. */
export const offsetCodec: MessageCodec<number> = {
  decode: (reader) => reader.u64(),
  encode: (value, writer) => {
    writer.u64(value);
  },
};

/** `struct fuse_ioctl_in` and the input. */
export const ioctlCodec: MessageCodec<IoctlRequest> = {
  decode(reader) {
    const [handle, flags, command] = [reader.u64(), reader.u32(), reader.u32()];
    const argument = reader.big64();
    const [inputSize, outputSize] = [reader.u32(), reader.u32()];
    return { handle, flags, command, argument, outputSize, input: reader.bytes(inputSize) };
  },
  encode(value, writer) {
    writer.u64(value.handle).u32(value.flags).u32(value.command).big64(value.argument);
    writer.u32(value.input.length).u32(value.outputSize).bytes(value.input);
  },
};

/** `struct fuse_ioctl_out` and the output. */
export const ioctlReplyCodec: MessageCodec<IoctlReply> = {
  decode(reader) {
    const result = reader.i32();
    reader.skip(12);
    return { result, output: reader.rest() };
  },
  encode: (value, writer) => {
    writer.i32(value.result).zeros(12).bytes(value.output);
  },
};

/** `struct fuse_poll_in`. */
export const pollCodec: MessageCodec<PollRequest> = {
  decode: (reader) => ({
    handle: reader.u64(),
    kernelHandle: reader.big64(),
    flags: reader.u32(),
    events: reader.u32(),
  }),
  encode: (value, writer) => {
    writer.u64(value.handle).big64(value.kernelHandle).u32(value.flags).u32(value.events);
  },
};

/** `struct fuse_bmap_in`. */
export const bmapCodec: MessageCodec<BmapRequest> = {
  decode(reader) {
    const [block, blockSize] = [reader.u64(), reader.u32()];
    reader.skip(4);
    return { block, blockSize };
  },
  encode: (value, writer) => {
    writer.u64(value.block).u32(value.blockSize).zeros(4);
  },
};
