/**
 * The first message of a connection (`struct fuse_init_in`, `struct fuse_init_out`, protocol 7.31 to 7.45).
 *
 *     request                               reply
 *      4  major version                      4  major version
 *      4  minor version                      4  minor version
 *      4  bytes of read-ahead                4  bytes of read-ahead
 *      4  flags                              4  flags
 *      4  flags, second word  (from 7.36)    2  requests in the background
 *     44  unused              (from 7.36)    2  of them congested
 *     --                                     4  largest write
 *     64, before 7.36: 16                    4  granularity of times, ns
 *                                            2  largest request in pages
 *                                            2  alignment of mappings
 *                                            4  flags, second word
 *                                            4  stack depth
 *                                            2  seconds until a request times out
 *                                           22  unused
 *                                           --
 *                                           64
 *
 * @module
 */
import { flagsFromWords, flagsToWords, type InitFlag } from "./init-flags.ts";
import type { MessageCodec } from "./message-codec.ts";

/** What the kernel can do. */
export interface InitRequest {
  readonly major: number;
  readonly minor: number;
  /** In bytes. */
  readonly maxReadahead: number;
  readonly flags: ReadonlySet<InitFlag>;
}

/** What the server wants. */
export interface InitReply {
  readonly major: number;
  readonly minor: number;
  /** In bytes. */
  readonly maxReadahead: number;
  readonly flags: ReadonlySet<InitFlag>;
  /** Asynchronous requests (read-ahead) at the same time. */
  readonly maxBackground: number;
  /** From this many the kernel holds read-ahead back. */
  readonly congestionThreshold: number;
  /** In bytes; the buffer of the device loop has at least this much room. */
  readonly maxWrite: number;
  /** In ns. */
  readonly timeGranularity: number;
  /** Of 4096 bytes, in one request. */
  readonly maxPages: number;
  /** Filesystems on filesystems; passthrough needs 1. */
  readonly maxStackDepth: number;
  /** 0 for none. */
  readonly requestTimeoutSeconds: number;
}

const EXTENDED_SINCE = 36;
const UNUSED_IN = 44;
const UNUSED_OUT = 22;

/** `struct fuse_init_in`. */
export const initRequestCodec: MessageCodec<InitRequest> = {
  decode(reader) {
    const [major, minor, maxReadahead, low] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
    // Later kernels may append fields: what follows is not looked at.
    const high = reader.remaining >= 4 ? reader.u32() : 0;
    reader.rest();
    return { major, minor, maxReadahead, flags: flagsFromWords(low, high) };
  },
  encode(value, writer) {
    const { low, high } = flagsToWords(value.flags);
    writer.u32(value.major).u32(value.minor).u32(value.maxReadahead).u32(low);
    if (value.minor >= EXTENDED_SINCE) writer.u32(high).zeros(UNUSED_IN);
  },
};

/** `struct fuse_init_out`. */
export const initReplyCodec: MessageCodec<InitReply> = {
  decode(reader) {
    const [major, minor, maxReadahead, low] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
    const [maxBackground, congestionThreshold] = [reader.u16(), reader.u16()];
    const [maxWrite, timeGranularity, maxPages] = [reader.u32(), reader.u32(), reader.u16()];
    reader.skip(2);
    const high = reader.u32();
    const [maxStackDepth, requestTimeoutSeconds] = [reader.u32(), reader.u16()];
    reader.skip(UNUSED_OUT);
    return {
      major,
      minor,
      maxReadahead,
      flags: flagsFromWords(low, high),
      maxBackground,
      congestionThreshold,
      maxWrite,
      timeGranularity,
      maxPages,
      maxStackDepth,
      requestTimeoutSeconds,
    };
  },
  encode(value, writer) {
    const { low, high } = flagsToWords(value.flags);
    writer.u32(value.major).u32(value.minor).u32(value.maxReadahead).u32(low);
    writer.u16(value.maxBackground).u16(value.congestionThreshold);
    writer.u32(value.maxWrite).u32(value.timeGranularity).u16(value.maxPages).u16(0);
    writer.u32(high).u32(value.maxStackDepth).u16(value.requestTimeoutSeconds).zeros(UNUSED_OUT);
  },
};
