/**
 * The file `filled`: which chunks of a layer are there, and how far that is to be believed.
 *
 * ```text
 * offset  size      what
 * 0       8         "esgzFill"
 * 8       4         version, 1
 * 12      4         state: 0 open, 1 clean
 * 16      8         number of chunks, n
 * 24      32        fingerprint of `data` (clean only, else zeros)
 * 56      32        fingerprint of `meta` (clean only, else zeros)
 * 88      32        SHA-256 of bytes 0 to 87 and of the bitmap
 * 120     ceil(n/8) bitmap: chunk i is bit i % 8 of byte i / 8
 *
 * fingerprint
 * 0       8         inode number
 * 8       8         size in bytes
 * 16      8         time of last modification, nanoseconds
 * 24      8         time of last change, nanoseconds
 *         = 32
 * ```
 *
 * A layer that was just made has no such file: no bit is believed then either.
 *
 * Crash rule. `open`, or no file, is durable before the first chunk of a session is written; a bit is written after the data of its
 * chunk is durable (fdatasync, then this file by rename); `clean` is written at the end of a session, with fingerprints
 * of what was then synced. Bits are believed only if the state is clean and the fingerprints are still those of the
 * files. Otherwise (SIGKILL, power loss, a restored or tampered file, a damaged bitmap) no bit is believed, and each
 * chunk is read and hashed before it counts.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { BigIntStats } from "node:fs";
import { equalBytes, viewOf } from "../bytes/index.ts";

/** Tells whether a file was touched: its time of change cannot be set from user space. */
export interface Fingerprint {
  readonly inode: bigint;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

/** What the file says. */
export interface FilledRecord {
  /** The number of chunks of the layer. */
  readonly count: number;
  /** One bit for each chunk. */
  readonly bitmap: Uint8Array;
  /** There after a clean end of the last session, and only then. */
  readonly clean?: { readonly data: Fingerprint; readonly meta: Fingerprint };
}

const MAGIC = new TextEncoder().encode("esgzFill");
const VERSION = 1;
const DIGEST_OFFSET = 88;
const HEADER_SIZE = 120;

/** The size of the file for a layer of `count` chunks. */
export function filledFileSize(count: number): number {
  return HEADER_SIZE + Math.ceil(count / 8);
}

/** Encodes the file. */
export function encodeFilled(record: FilledRecord): Uint8Array {
  const bytes = new Uint8Array(filledFileSize(record.count));
  const view = viewOf(bytes);
  bytes.set(MAGIC);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, record.clean === undefined ? 0 : 1, true);
  view.setBigUint64(16, BigInt(record.count), true);
  if (record.clean !== undefined) {
    encodeFingerprint(record.clean.data, view, 24);
    encodeFingerprint(record.clean.meta, view, 56);
  }
  bytes.set(record.bitmap, HEADER_SIZE);
  bytes.set(digestOf(bytes), DIGEST_OFFSET);
  return bytes;
}

/** Decodes the file; undefined if it is damaged, of another version, or of a layer with another number of chunks. */
export function decodeFilled(bytes: Uint8Array, count: number): FilledRecord | undefined {
  if (bytes.length !== filledFileSize(count)) return undefined;
  const view = viewOf(bytes);
  const intact =
    MAGIC.every((byte, at) => bytes[at] === byte) &&
    view.getUint32(8, true) === VERSION &&
    view.getBigUint64(16, true) === BigInt(count) &&
    equalBytes(digestOf(bytes), bytes.subarray(DIGEST_OFFSET, HEADER_SIZE));
  if (!intact) return undefined;
  const bitmap = bytes.slice(HEADER_SIZE);
  if (view.getUint32(12, true) !== 1) return { count, bitmap };
  return { count, bitmap, clean: { data: decodeFingerprint(view, 24), meta: decodeFingerprint(view, 56) } };
}

/** The fingerprint of a file. */
export function fingerprintOf(stats: BigIntStats): Fingerprint {
  return { inode: stats.ino, size: stats.size, modifiedNs: stats.mtimeNs, changedNs: stats.ctimeNs };
}

/** Whether two fingerprints are of the same file in the same state. */
export function equalFingerprints(a: Fingerprint, b: Fingerprint): boolean {
  return (
    a.inode === b.inode && a.size === b.size && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs
  );
}

function encodeFingerprint(value: Fingerprint, view: DataView, offset: number): void {
  view.setBigUint64(offset, value.inode, true);
  view.setBigUint64(offset + 8, value.size, true);
  view.setBigInt64(offset + 16, value.modifiedNs, true);
  view.setBigInt64(offset + 24, value.changedNs, true);
}

function decodeFingerprint(view: DataView, offset: number): Fingerprint {
  return {
    inode: view.getBigUint64(offset, true),
    size: view.getBigUint64(offset + 8, true),
    modifiedNs: view.getBigInt64(offset + 16, true),
    changedNs: view.getBigInt64(offset + 24, true),
  };
}

function digestOf(bytes: Uint8Array): Uint8Array {
  const hash = createHash("sha256").update(bytes.subarray(0, DIGEST_OFFSET));
  return hash.update(bytes.subarray(HEADER_SIZE)).digest();
}
