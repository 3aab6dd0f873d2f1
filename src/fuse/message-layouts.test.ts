/**
 * Bytes that a C program wrote with the structures of `linux/fuse.h`, every field another value.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHex } from "../bytes/index.ts";
import {
  copyFileRangeCodec,
  createCodec,
  fallocateCodec,
  mknodCodec,
  rename2Codec,
  setattrCodec,
  writeCodec,
} from "./change-messages.ts";
import {
  decodeDirectoryEntries,
  decodeDirectoryEntriesPlus,
  packDirectoryEntry,
  packDirectoryEntryPlus,
} from "./directory-messages.ts";
import { attributesReplyCodec, entryCodec } from "./entry.ts";
import {
  bmapCodec,
  fsyncCodec,
  ioctlCodec,
  ioctlReplyCodec,
  lseekCodec,
  openReplyCodec,
  pollCodec,
  releaseCodec,
} from "./file-messages.ts";
import type { InitFlag } from "./init-flags.ts";
import { initReplyCodec } from "./init-message.ts";
import { decodeBody, encodeBody, type MessageCodec } from "./message-codec.ts";
import { MessageWriter } from "./message-writer.ts";
import { statisticsCodec } from "./node-messages.ts";
import { encodeNotification } from "./notification.ts";
import { statxReplyCodec } from "./statx-message.ts";

const ATTRIBUTES = {
  inode: 0x1112131415,
  size: 0x2122232425,
  blocks: 0x31323334,
  atime: { seconds: -1, nanoseconds: 999_999_999 },
  mtime: { seconds: 0x41424344, nanoseconds: 2 },
  ctime: { seconds: 0x4546474849, nanoseconds: 3 },
  mode: 0o100644,
  nlink: 5,
  uid: 1000,
  gid: 0xfffffffe,
  rdev: 0x12345,
  blockSize: 4096,
};
const ATTRIBUTES_HEX =
  "151413121100000025242322210000003433323100000000ffffffffffffffff44434241000000004948474645000000" +
  "ffc99a3b0200000003000000a481000005000000e8030000feffffff452301000010000000000000";
const ENTRY = {
  node: 0x0102030405,
  generation: 7,
  entryTimeoutMs: 3_600_500,
  attributesTimeoutMs: 1250,
  attributes: ATTRIBUTES,
};
const ENTRY_HEX = `05040302010000000700000000000000100e00000000000001000000000000000065cd1d80b2e60e${ATTRIBUTES_HEX}`;
const DIRENT_HEX = "4d000000000000000900000000000000050000000800000068656c6c6f000000";
const NAMED = { name: "hello", type: "reg", inode: 77, offset: 9 } as const;

interface Layout {
  readonly codec: MessageCodec<never>;
  readonly value: unknown;
  readonly hex: string;
}

const LAYOUTS: Readonly<Record<string, Layout>> = {
  fuse_entry_out: layout(entryCodec, ENTRY, ENTRY_HEX),
  fuse_attr_out: layout(
    attributesReplyCodec,
    { attributesTimeoutMs: 12_345, attributes: ATTRIBUTES },
    `0c000000000000004048901400000000${ATTRIBUTES_HEX}`,
  ),
  fuse_statfs_out: layout(
    statisticsCodec,
    {
      blocks: 1,
      blocksFree: 2,
      blocksAvailable: 3,
      files: 4,
      filesFree: 5,
      blockSize: 6,
      nameLimit: 7,
      fragmentSize: 8,
    },
    `01000000000000000200000000000000030000000000000004000000000000000500000000000000060000000700000008000000${"0".repeat(56)}`,
  ),
  fuse_open_out: layout(
    openReplyCodec,
    { handle: 0x99887766, directIo: true, keepCache: true, noFlush: true },
    "66778899000000002300000000000000",
  ),
  // Protocol 7.40 gives the padding a meaning: bit 7 of the flags and the id of a backing file.
  "fuse_open_out of passthrough": layout(
    openReplyCodec,
    { handle: 1, backing: 3 },
    "01000000000000008000000003000000",
  ),
  fuse_init_out: layout(
    initReplyCodec,
    {
      major: 7,
      minor: 38,
      maxReadahead: 131_072,
      flags: new Set<InitFlag>(["asyncRead", "maxPages", "initExt", "hasInodeDax"]),
      maxBackground: 64,
      congestionThreshold: 48,
      maxWrite: 65_536,
      timeGranularity: 1,
      maxPages: 256,
      maxStackDepth: 0,
      requestTimeoutSeconds: 0,
    },
    `07000000260000000000020001004040400030000000010001000000000100000200000000${"0".repeat(54)}`,
  ),
  fuse_setattr_in: layout(
    setattrCodec,
    {
      valid: 72,
      handle: 3,
      size: 4,
      lockOwner: 5n,
      atime: { seconds: 6, nanoseconds: 9 },
      mtime: { seconds: 7, nanoseconds: 10 },
      ctime: { seconds: -8, nanoseconds: 11 },
      mode: 0o600,
      uid: 12,
      gid: 13,
    },
    "48000000000000000300000000000000040000000000000005000000000000000600000000000000" +
      "0700000000000000f8ffffffffffffff090000000a0000000b00000080010000000000000c0000000d00000000000000",
  ),
  "fuse_write_in and bytes": layout(
    writeCodec,
    { handle: 1, offset: 2, writeFlags: 4, lockOwner: 5n, flags: 6, bytes: Uint8Array.of(7, 8, 9) },
    "01000000000000000200000000000000030000000400000005000000000000000600000000000000070809",
  ),
  fuse_ioctl_in: layout(
    ioctlCodec,
    { handle: 1, flags: 2, command: 3, argument: 4n, outputSize: 6, input: new Uint8Array() },
    "0100000000000000020000000300000004000000000000000000000006000000",
  ),
  fuse_ioctl_out: layout(
    ioctlReplyCodec,
    { result: -2, output: new Uint8Array() },
    "feffffff000000000000000000000000",
  ),
  fuse_lseek_in: layout(
    lseekCodec,
    { handle: 1, offset: 2, whence: 3 },
    "010000000000000002000000000000000300000000000000",
  ),
  fuse_copy_file_range_in: layout(
    copyFileRangeCodec,
    { handle: 1, offset: 2, targetNode: 3, targetHandle: 4, targetOffset: 5, size: 6, flags: 7 },
    "0100000000000000020000000000000003000000000000000400000000000000050000000000000006000000000000000700000000000000",
  ),
  fuse_fallocate_in: layout(
    fallocateCodec,
    { handle: 1, offset: 2, size: 3, mode: 4 },
    "0100000000000000020000000000000003000000000000000400000000000000",
  ),
  fuse_poll_in: layout(
    pollCodec,
    { handle: 1, kernelHandle: 2n, flags: 3, events: 4 },
    "010000000000000002000000000000000300000004000000",
  ),
  fuse_bmap_in: layout(bmapCodec, { block: 1, blockSize: 2 }, "01000000000000000200000000000000"),
  "fuse_create_in and name": layout(
    createCodec,
    { flags: 1, mode: 2, umask: 3, name: "ab" },
    "01000000020000000300000000000000616200",
  ),
  "fuse_mknod_in and name": layout(
    mknodCodec,
    { mode: 1, rdev: 2, umask: 3, name: "ab" },
    "01000000020000000300000000000000616200",
  ),
  "fuse_rename2_in and names": layout(
    rename2Codec,
    { newDirectory: 1, flags: 2, oldName: "a", newName: "b" },
    "0100000000000000020000000000000061006200",
  ),
  fuse_release_in: layout(
    releaseCodec,
    { handle: 1, flags: 2, releaseFlags: 3, lockOwner: 4n },
    "010000000000000002000000030000000400000000000000",
  ),
  fuse_fsync_in: layout(fsyncCodec, { handle: 1, flags: 1 }, "01000000000000000100000000000000"),
};

for (const [name, { codec, value, hex }] of Object.entries(LAYOUTS)) {
  test(`${name} is decoded from the bytes of C`, () => {
    assert.deepEqual(decodeBody(codec, bytesOf(hex), name), value);
  });
  test(`${name} is encoded to the bytes of C`, () => {
    assert.equal(encodeHex(encodeBody(codec, value as never)), hex);
  });
  test(`${name} is refused when it is a byte short`, () => {
    assert.throws(() => decodeBody(codec, bytesOf(hex).subarray(0, -1), name), { code: "FUSE_INVALID" });
  });
}

test("fuse_dirent and fuse_direntplus are packed as C lays them out, and read back", () => {
  const plain = new MessageWriter();
  assert.ok(packDirectoryEntry(plain, NAMED, { start: 0, limit: 32 }));
  assert.equal(encodeHex(plain.written()), DIRENT_HEX);
  assert.deepEqual(decodeDirectoryEntries(bytesOf(DIRENT_HEX)), [NAMED]);

  const plus = new MessageWriter();
  assert.ok(packDirectoryEntryPlus(plus, { ...NAMED, entry: ENTRY }, { start: 0, limit: 160 }));
  assert.equal(encodeHex(plus.written()), ENTRY_HEX + DIRENT_HEX);
  assert.deepEqual(decodeDirectoryEntriesPlus(bytesOf(ENTRY_HEX + DIRENT_HEX)), [{ ...NAMED, entry: ENTRY }]);
});

test("a directory entry that does not fit is left out whole", () => {
  const writer = new MessageWriter();
  assert.equal(packDirectoryEntry(writer, NAMED, { start: 0, limit: 31 }), false);
  assert.equal(packDirectoryEntryPlus(writer, NAMED, { start: 0, limit: 159 }), false);
  assert.equal(writer.size, 0);
});

test("notifications are encoded to the bytes of C", () => {
  const encoded = [
    encodeNotification({ kind: "inval-inode", node: 5, offset: -1, size: 4096 }),
    encodeNotification({ kind: "inval-entry", directory: 1, name: "ab", expireOnly: true }),
    encodeNotification({ kind: "store", node: 2, offset: 8192, bytes: bytesOf("78797a") }),
    encodeNotification({ kind: "delete", directory: 1, node: 6, name: "ab" }),
    encodeNotification({ kind: "retrieve", unique: 9n, node: 2, offset: 4096, size: 100 }),
    encodeNotification({ kind: "resend" }),
  ];
  assert.deepEqual(encoded.map(encodeHex), [
    "280000000200000000000000000000000500000000000000ffffffffffffffff0010000000000000",
    "2300000003000000000000000000000001000000000000000200000001000000616200",
    "2b00000004000000000000000000000002000000000000000020000000000000030000000000000078797a",
    "2b000000060000000000000000000000010000000000000006000000000000000200000000000000616200",
    "300000000500000000000000000000000900000000000000020000000000000000100000000000006400000000000000",
    "10000000070000000000000000000000",
  ]);
});

test("fuse_statx_out has 288 bytes and is read back as it was", () => {
  const { rdev: _, ...attributes } = ATTRIBUTES;
  const value = {
    attributesTimeoutMs: Infinity,
    mask: 0xfff,
    attributeBits: 4,
    attributeMask: 0x74,
    attributes,
    birthTime: { seconds: 1, nanoseconds: 2 },
    device: { major: 8, minor: 1 },
  };
  const bytes = encodeBody(statxReplyCodec, value);
  assert.equal(bytes.length, 288);
  assert.deepEqual(decodeBody(statxReplyCodec, bytes), value);
});

test("values that have no place in a message are refused", () => {
  const encode = (change: object): unknown =>
    encodeBody(entryCodec, { ...ENTRY, attributes: { ...ATTRIBUTES, ...change } });
  for (const change of [
    { size: -1 },
    { size: 2 ** 53 },
    { mode: 2 ** 32 },
    { uid: 1.5 },
    { nlink: Number.NaN },
  ]) {
    assert.throws(() => encode(change), { code: "FUSE_INVALID" });
  }
});

function layout<T>(codec: MessageCodec<T>, value: T, hex: string): Layout {
  return { codec: codec as never, value, hex };
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"));
}
