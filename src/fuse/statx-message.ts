/**
 * `statx(2)` (protocol 7.39): attributes with the time of birth (`struct fuse_statx_in`, `struct fuse_statx_out`).
 *
 *     request                     reply
 *      4  flags: 1 has a handle    8  seconds the attributes are valid
 *      4  reserved                 4  nanoseconds of it
 *      8  handle                   4  flags
 *      4  flags of statx           16 spare
 *      4  mask                     4  mask         4  block size   8  attribute bits
 *     --                           4  nlink        4  uid          4  gid      2  mode     2  spare
 *     24                           8  inode        8  size         8  blocks   8  mask of attribute bits
 *                                 64  atime, birth time, ctime, mtime: 8 seconds, 4 nanoseconds, 4 reserved each
 *                                 16  rdev major, minor, dev major, minor
 *                                112  spare
 *                                 --
 *                                288
 *
 * @module
 */
import type { Attributes, FuseTime } from "./attributes.ts";
import { msFromValid, nanosecondsOf, secondsOf } from "./entry.ts";
import type { MessageCodec } from "./message-codec.ts";
import type { MessageReader } from "./message-reader.ts";
import type { MessageWriter } from "./message-writer.ts";

/** What `statx(2)` asks. */
export interface StatxRequest {
  readonly handle: number | undefined;
  /** `AT_STATX_*`. */
  readonly flags: number;
  /** `STATX_*`: what is wanted. */
  readonly mask: number;
}

/** What `statx(2)` shows, beyond {@linkcode Attributes}. `rdev` is not used: see `device`. */
export interface StatxReply {
  readonly attributesTimeoutMs: number;
  /** `STATX_*`: what is known. */
  readonly mask: number;
  /** `STATX_ATTR_*` that hold. */
  readonly attributeBits: number;
  /** `STATX_ATTR_*` that the filesystem knows of. */
  readonly attributeMask: number;
  readonly attributes: Omit<Attributes, "rdev">;
  readonly birthTime: FuseTime;
  /** Of a device node. */
  readonly device: { readonly major: number; readonly minor: number };
}

const HAS_HANDLE = 1;
const SPARE = 112;

/** `struct fuse_statx_in`. */
export const statxCodec: MessageCodec<StatxRequest> = {
  decode(reader) {
    const flags = reader.u32();
    reader.skip(4);
    const handle = reader.u64();
    return {
      handle: (flags & HAS_HANDLE) === 0 ? undefined : handle,
      flags: reader.u32(),
      mask: reader.u32(),
    };
  },
  encode(value, writer) {
    writer.u32(value.handle === undefined ? 0 : HAS_HANDLE).zeros(4);
    writer
      .u64(value.handle ?? 0)
      .u32(value.flags)
      .u32(value.mask);
  },
};

/** `struct fuse_statx_out`. */
export const statxReplyCodec: MessageCodec<StatxReply> = {
  decode(reader) {
    const seconds = reader.big64();
    const attributesTimeoutMs = msFromValid(seconds, reader.u32());
    reader.skip(20);
    const [mask, blockSize, attributeBits] = [reader.u32(), reader.u32(), reader.u64()];
    const [nlink, uid, gid, mode] = [reader.u32(), reader.u32(), reader.u32(), reader.u16()];
    reader.skip(2);
    const [inode, size, blocks, attributeMask] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
    const [atime, birthTime] = [readTime(reader), readTime(reader)];
    const [ctime, mtime] = [readTime(reader), readTime(reader)];
    const device = { major: reader.u32(), minor: reader.u32() };
    reader.skip(8 + SPARE);
    return {
      attributesTimeoutMs,
      mask,
      attributeBits,
      attributeMask,
      attributes: { inode, size, blocks, atime, mtime, ctime, mode, nlink, uid, gid, blockSize },
      birthTime,
      device,
    };
  },
  encode(value, writer) {
    const { attributes, device } = value;
    writer.u64(secondsOf(value.attributesTimeoutMs)).u32(nanosecondsOf(value.attributesTimeoutMs)).zeros(20);
    writer.u32(value.mask).u32(attributes.blockSize).u64(value.attributeBits);
    writer.u32(attributes.nlink).u32(attributes.uid).u32(attributes.gid).u16(attributes.mode).zeros(2);
    writer.u64(attributes.inode).u64(attributes.size).u64(attributes.blocks).u64(value.attributeMask);
    for (const time of [attributes.atime, value.birthTime, attributes.ctime, attributes.mtime]) {
      writeTime(time, writer);
    }
    writer
      .u32(device.major)
      .u32(device.minor)
      .zeros(8 + SPARE);
  },
};

function readTime(reader: MessageReader): FuseTime {
  const time = { seconds: reader.i64(), nanoseconds: reader.u32() };
  reader.skip(4);
  return time;
}

function writeTime(time: FuseTime, writer: MessageWriter): void {
  writer.i64(time.seconds).u32(time.nanoseconds).zeros(4);
}
