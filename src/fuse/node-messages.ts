/**
 * Requests about names and nodes, and the replies that are theirs alone.
 *
 *     lookup, unlink, rmdir   name, zero byte
 *     forget                  8 lookups
 *     batch forget            4 count, 4 padding, then count times: 8 node, 8 lookups
 *     getattr                 4 flags, 4 padding, 8 handle
 *     access                  4 mask, 4 padding
 *     readlink                nothing; the reply is the target, without a zero byte
 *     statfs                  nothing; the reply is 80 bytes, see {@link FilesystemStatistics}
 *     interrupt               8 unique of the request
 *
 * @module
 */
import { decodePathText, encodePathText } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { readName, writeName, type MessageCodec } from "./message-codec.ts";

/** A name in a directory. */
export interface NameRequest {
  /** Path text: bytes that are not UTF-8 are escaped as in `decodePathText()`. */
  readonly name: string;
}

/** The kernel lets go of lookups of the node in the header. */
export interface ForgetRequest {
  readonly lookups: number;
}

/** The kernel lets go of several nodes at once. */
export interface BatchForgetRequest {
  readonly forgets: readonly { readonly node: number; readonly lookups: number }[];
}

/** Attributes of a node, or of an open file. */
export interface GetattrRequest {
  /** The open file asked about, where there is one. */
  readonly handle: number | undefined;
}

/** What `access(2)` asks. */
export interface AccessRequest {
  /** Bits: 4 read, 2 write, 1 execute; 0 existence. */
  readonly mask: number;
}

/** The caller of another request was interrupted by a signal. */
export interface InterruptRequest {
  readonly unique: bigint;
}

/** What `statfs(2)` shows (`struct fuse_kstatfs`). */
export interface FilesystemStatistics {
  /** In units of `fragmentSize`. */
  readonly blocks: number;
  readonly blocksFree: number;
  readonly blocksAvailable: number;
  readonly files: number;
  readonly filesFree: number;
  readonly blockSize: number;
  /** The longest name in bytes. */
  readonly nameLimit: number;
  readonly fragmentSize: number;
}

const STATISTICS_SPARE = 28;
const GETATTR_HANDLE = 1;
const FORGET_SIZE = 16;

/** LOOKUP, UNLINK, RMDIR, REMOVEXATTR. */
export const nameCodec: MessageCodec<NameRequest> = {
  decode: (reader) => ({ name: readName(reader) }),
  encode: (value, writer) => writeName(value.name, writer),
};

/** `struct fuse_forget_in`. */
export const forgetCodec: MessageCodec<ForgetRequest> = {
  decode: (reader) => ({ lookups: reader.u64() }),
  encode: (value, writer) => {
    writer.u64(value.lookups);
  },
};

/** `struct fuse_batch_forget_in`. */
export const batchForgetCodec: MessageCodec<BatchForgetRequest> = {
  decode(reader) {
    const count = reader.u32();
    reader.skip(4);
    if (count * FORGET_SIZE !== reader.remaining) {
      const found = `${reader.remaining} bytes`;
      throw new EsgzError(
        "FUSE_INVALID",
        `Cannot decode FUSE message "BATCH_FORGET": expected ${count} nodes, got ${found}`,
      );
    }
    return {
      forgets: Array.from({ length: count }, () => ({ node: reader.u64(), lookups: reader.u64() })),
    };
  },
  encode(value, writer) {
    writer.u32(value.forgets.length).zeros(4);
    for (const { node, lookups } of value.forgets) writer.u64(node).u64(lookups);
  },
};

/** `struct fuse_getattr_in`. */
export const getattrCodec: MessageCodec<GetattrRequest> = {
  decode(reader) {
    const flags = reader.u32();
    reader.skip(4);
    const handle = reader.u64();
    return { handle: (flags & GETATTR_HANDLE) === 0 ? undefined : handle };
  },
  encode(value, writer) {
    writer.u32(value.handle === undefined ? 0 : GETATTR_HANDLE).zeros(4);
    writer.u64(value.handle ?? 0);
  },
};

/** `struct fuse_access_in`. */
export const accessCodec: MessageCodec<AccessRequest> = {
  decode(reader) {
    const mask = reader.u32();
    reader.skip(4);
    return { mask };
  },
  encode: (value, writer) => {
    writer.u32(value.mask).zeros(4);
  },
};

/** `struct fuse_interrupt_in`. */
export const interruptCodec: MessageCodec<InterruptRequest> = {
  decode: (reader) => ({ unique: reader.big64() }),
  encode: (value, writer) => {
    writer.big64(value.unique);
  },
};

/** The target of a symbolic link, as path text. */
export const linkTargetCodec: MessageCodec<string> = {
  decode: (reader) => decodePathText(reader.rest()),
  encode: (value, writer) => {
    writer.bytes(encodePathText(value));
  },
};

/** `struct fuse_statfs_out`. */
export const statisticsCodec: MessageCodec<FilesystemStatistics> = {
  decode(reader) {
    const value = {
      blocks: reader.u64(),
      blocksFree: reader.u64(),
      blocksAvailable: reader.u64(),
      files: reader.u64(),
      filesFree: reader.u64(),
      blockSize: reader.u32(),
      nameLimit: reader.u32(),
      fragmentSize: reader.u32(),
    };
    reader.skip(STATISTICS_SPARE);
    return value;
  },
  encode(value, writer) {
    writer.u64(value.blocks).u64(value.blocksFree).u64(value.blocksAvailable);
    writer.u64(value.files).u64(value.filesFree);
    writer.u32(value.blockSize).u32(value.nameLimit).u32(value.fragmentSize).zeros(STATISTICS_SPARE);
  },
};
