/**
 * What a server tells the kernel unasked (`enum fuse_notify_code`): a reply header with `unique` 0 and the code where the
 * error would be, then
 *
 *     2  INVAL_INODE   8 node, 8 offset (below 0: attributes only), 8 size (0: to the end)
 *     3  INVAL_ENTRY   8 directory, 4 size of the name, 4 flags, name, zero byte
 *     4  STORE         8 node, 8 offset, 4 size, 4 padding, bytes
 *     5  RETRIEVE      8 unique of the answer, 8 node, 8 offset, 4 size, 4 padding
 *     6  DELETE        8 directory, 8 node, 4 size of the name, 4 padding, name, zero byte
 *     7  RESEND        nothing
 *
 * RETRIEVE is answered by a request NOTIFY_REPLY whose `unique` is that of the notification, with 16 bytes that have no
 * meaning but the offset in the second 8, 4 size, 4 + 16 padding, and the bytes.
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import { REPLY_HEADER_SIZE } from "./message-header.ts";
import { MessageReader } from "./message-reader.ts";
import { MessageWriter } from "./message-writer.ts";

/** One notification. */
export type Notification =
  /** Drops cached attributes, and cached content from `offset` on; `size` 0 is all to the end. */
  | { readonly kind: "inval-inode"; readonly node: number; readonly offset: number; readonly size: number }
  /** Drops a cached name; with `expireOnly` it is only looked up again (protocol 7.38). */
  | {
      readonly kind: "inval-entry";
      readonly directory: number;
      readonly name: string;
      readonly expireOnly?: boolean;
    }
  /** Puts content into the cache. */
  | { readonly kind: "store"; readonly node: number; readonly offset: number; readonly bytes: Uint8Array }
  /** Asks for content of the cache. */
  | {
      readonly kind: "retrieve";
      readonly unique: bigint;
      readonly node: number;
      readonly offset: number;
      readonly size: number;
    }
  /** Says that a name was removed, also to those who watch the directory. */
  | { readonly kind: "delete"; readonly directory: number; readonly node: number; readonly name: string }
  /** Has all requests sent again that were read and not answered (protocol 7.40). */
  | { readonly kind: "resend" };

/** Cached content that was asked for by RETRIEVE. */
export interface RetrievedContent {
  readonly offset: number;
  /** A view. Shorter than asked where less is cached. */
  readonly bytes: Uint8Array;
}

const CODES = {
  "inval-inode": 2,
  "inval-entry": 3,
  store: 4,
  retrieve: 5,
  delete: 6,
  resend: 7,
} as const;

const EXPIRE_ONLY = 1;

/**
 * Encodes a notification, header included.
 *
 * @throws {EsgzError} `FUSE_INVALID` for numbers and names that have no place in one.
 */
export function encodeNotification(notification: Notification): Uint8Array {
  const writer = new MessageWriter();
  writer.u32(0).i32(CODES[notification.kind]).u64(0);
  writeBody(notification, writer);
  writer.patchU32(0, writer.size);
  return writer.written();
}

/**
 * Decodes the body of a NOTIFY_REPLY request.
 *
 * @throws {EsgzError} `FUSE_INVALID`.
 */
export function decodeRetrieved(body: Uint8Array): RetrievedContent {
  const reader = new MessageReader(body, "NOTIFY_REPLY");
  reader.skip(8);
  const [offset, size] = [reader.u64(), reader.u32()];
  reader.skip(20);
  const bytes = reader.bytes(size);
  reader.end();
  return { offset, bytes };
}

function writeBody(notification: Notification, writer: MessageWriter): void {
  switch (notification.kind) {
    case "inval-inode":
      writer.u64(notification.node).i64(notification.offset).i64(notification.size);
      return;
    case "inval-entry": {
      const name = encodePathText(notification.name);
      writer.u64(notification.directory).u32(name.length);
      writer.u32(notification.expireOnly === true ? EXPIRE_ONLY : 0).terminated(name);
      return;
    }
    case "store":
      writer.u64(notification.node).u64(notification.offset);
      writer.u32(notification.bytes.length).zeros(4).bytes(notification.bytes);
      return;
    case "retrieve":
      writer.big64(notification.unique).u64(notification.node).u64(notification.offset);
      writer.u32(notification.size).zeros(4);
      return;
    case "delete": {
      const name = encodePathText(notification.name);
      writer.u64(notification.directory).u64(notification.node);
      writer.u32(name.length).zeros(4).terminated(name);
      return;
    }
    case "resend":
      return;
  }
}

/** The most bytes of content in one STORE: what fits the kernel's limit with its headers. */
export const STORE_LIMIT: number = 128 * 1024 - REPLY_HEADER_SIZE - 24;
