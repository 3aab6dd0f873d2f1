/**
 * The headers of requests and replies (`struct fuse_in_header`, `struct fuse_out_header`).
 *
 *     request                                     reply or notification
 *      4  size of the message, header included     4  size of the message, header included
 *      4  opcode                                   4  0, or -errno; of a notification its code
 *      8  unique                                   8  unique of the request; 0 for a notification
 *      8  node                                    --
 *      4  user id                                 16
 *      4  group id
 *      4  process id
 *      2  size of the extensions at the end, in units of 8 bytes
 *      2  padding
 *     --
 *     40
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";

/** The size of a request's header. */
export const REQUEST_HEADER_SIZE = 40;

/** The size of a reply's header. */
export const REPLY_HEADER_SIZE = 16;

/** Set in `unique` of a request that an earlier server did not answer (`FUSE_UNIQUE_RESEND`). */
export const UNIQUE_RESENT: bigint = 1n << 63n;

/** What every request says. */
export interface RequestHeader {
  readonly opcode: number;
  /** Names the request until it is answered. Not reused soon, but not unique forever. */
  readonly unique: bigint;
  /** The node asked about; 0 where the operation has none. */
  readonly node: number;
  readonly uid: number;
  readonly gid: number;
  /** 0 where the caller is not visible in the server's namespace, or the kernel acts for itself. */
  readonly pid: number;
}

/** A request taken apart, its body not yet decoded. */
export interface RawRequest {
  readonly header: RequestHeader;
  /** The operation's fields: a view. */
  readonly body: Uint8Array;
  /** Extensions (security contexts, groups) that follow the body: a view. */
  readonly extensions: Uint8Array;
}

/** A reply taken apart. */
export interface RawReply {
  readonly unique: bigint;
  /** 0, or the errno as a positive number; of a notification (`unique` 0) minus its code. */
  readonly errno: number;
  /** A view. */
  readonly body: Uint8Array;
}

/**
 * Takes a request apart.
 *
 * @throws {EsgzError} `FUSE_INVALID` if the sizes contradict the bytes.
 */
export function decodeRequest(message: Uint8Array): RawRequest {
  const reader = new MessageReader(message, "request header");
  const size = reader.u32();
  const header = {
    opcode: reader.u32(),
    unique: reader.big64(),
    node: reader.u64(),
    uid: reader.u32(),
    gid: reader.u32(),
    pid: reader.u32(),
  };
  const extensionsSize = reader.u16() * 8;
  reader.skip(2);
  checkSize("request", size, message.length);
  if (extensionsSize > reader.remaining) {
    throw invalid("request", `at most ${reader.remaining} bytes of extensions`, extensionsSize);
  }
  const bodyEnd = message.length - extensionsSize;
  return {
    header,
    body: message.subarray(REQUEST_HEADER_SIZE, bodyEnd),
    extensions: message.subarray(bodyEnd),
  };
}

/** Puts a request together: the inverse of {@linkcode decodeRequest}, for tests and tools. */
export function encodeRequest({ header, body, extensions }: RawRequest): Uint8Array {
  return new MessageWriter(REQUEST_HEADER_SIZE + body.length + extensions.length)
    .u32(REQUEST_HEADER_SIZE + body.length + extensions.length)
    .u32(header.opcode)
    .big64(header.unique)
    .u64(header.node)
    .u32(header.uid)
    .u32(header.gid)
    .u32(header.pid)
    .u16(extensions.length / 8)
    .zeros(2)
    .bytes(body)
    .bytes(extensions)
    .written();
}

/** The header of a reply with `bodySize` bytes after it. Errors (`errno` > 0) have no body. */
export function encodeReplyHeader(
  unique: bigint,
  options: { readonly errno?: number; readonly bodySize?: number } = {},
): Uint8Array {
  const writer = new MessageWriter(REPLY_HEADER_SIZE);
  writeReplyHeader(writer, { unique, errno: options.errno ?? 0, bodySize: options.bodySize ?? 0 });
  return writer.written();
}

/** Writes the header of a reply. */
export function writeReplyHeader(
  writer: MessageWriter,
  reply: { readonly unique: bigint; readonly errno: number; readonly bodySize: number },
): void {
  // Not -0: the field is an integer.
  writer
    .u32(REPLY_HEADER_SIZE + reply.bodySize)
    .i32(0 - reply.errno)
    .big64(reply.unique);
}

/**
 * Takes a reply or a notification apart, as the kernel does.
 *
 * @throws {EsgzError} `FUSE_INVALID`.
 */
export function decodeReply(message: Uint8Array): RawReply {
  const reader = new MessageReader(message, "reply header");
  const size = reader.u32();
  const errno = 0 - reader.i32();
  const unique = reader.big64();
  checkSize("reply", size, message.length);
  return { unique, errno, body: reader.rest() };
}

function checkSize(what: string, stated: number, found: number): void {
  if (stated !== found) throw invalid(what, `${stated} bytes as its header says`, found);
}

function invalid(what: string, wanted: string, found: number): EsgzError {
  return new EsgzError("FUSE_INVALID", `Cannot decode FUSE ${what}: expected ${wanted}, got ${found}`);
}
