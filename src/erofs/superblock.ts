/**
 * The superblock and the device table behind it.
 *
 * ```text
 * offset size what
 * 0      4    magic E2 E1 F5 E0
 * 4      4    CRC-32C from the superblock to the end of its block, computed with zeros here
 * 8      4    compatible features
 * 12     1    block size as a power of two
 * 13     1    extension slots of 16 bytes
 * 14     2    node id of the root
 * 16     8    number of inodes
 * 24     8+4  build time: seconds, nanoseconds
 * 36     4    blocks of the image
 * 40     4    first block of the metadata: node ids count from here
 * 44     4    first block of the shared xattrs
 * 48     16   UUID
 * 64     16   volume name, zero-terminated
 * 80     4    incompatible features
 * 84     2    compression (zero)
 * 86     2    number of data devices
 * 88     2    place of the device table, in units of 128 bytes
 * 90     1    directory block size (zero: as all blocks)
 * 91     37   zeros
 *        = 128
 *
 * device slot
 * 0      64   tag
 * 64     4    blocks
 * 68     4    first block of the device in one address space with the image (zero: none)
 * 72     56   zeros
 *        = 128
 * ```
 *
 * Source: the Linux kernel, `fs/erofs/erofs_fs.h`.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { crc32cRegister } from "./crc32c.ts";
import {
  BLOCK_BITS,
  BLOCK_SIZE,
  DEVICE_SLOT_SIZE,
  DEVICE_TAG_SIZE,
  FEATURE_COMPAT_CHECKSUM,
  FEATURE_COMPAT_MTIME,
  FEATURE_INCOMPAT_CHUNKED_FILE,
  FEATURE_INCOMPAT_DEVICE_TABLE,
  ROOT_OFFSET_LIMIT,
  SUPERBLOCK_MAGIC,
  SUPERBLOCK_OFFSET,
  SUPERBLOCK_SIZE,
} from "./disk-layout.ts";
import { readUint64, writeUint64 } from "./uint64.ts";

/** A slot of the device table. */
export interface ErofsDeviceSlot {
  /** Blocks of 4096 bytes on the device. */
  readonly blocks: number;
  /** At most 64 bytes that say what belongs here; a SHA-256 in hexadecimal fits. Without the zeros behind it. */
  readonly tag: Uint8Array;
  /**
   * The first block of the device in one address space with the image. It counts only where no devices are named in
   * the mount: then the kernel reads device data there, in the file of the image.
   */
  readonly mappedBlock: number;
}

/** What the superblock says about an image. */
export interface ErofsSuperblock {
  readonly rootNid: number;
  readonly inodeCount: number;
  /** Blocks of the image itself, without the devices. */
  readonly blocks: number;
  readonly metaBlock: number;
  readonly xattrBlock: number;
  /** The time of compact inodes, in seconds since 1970. */
  readonly buildSeconds: number;
  readonly buildNanoseconds: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** At most 15 bytes, without the zeros behind it. */
  readonly volumeName: Uint8Array;
  readonly devices: readonly ErofsDeviceSlot[];
}

const DEVICE_TABLE_OFFSET = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE;
const KNOWN_INCOMPAT = FEATURE_INCOMPAT_CHUNKED_FILE | FEATURE_INCOMPAT_DEVICE_TABLE;

/**
 * The number of data devices that an image can have, 16,343. The root's record, which follows the device table, must
 * begin where 16 bits of node id reach, even after it was moved up to the next block.
 */
export const DEVICE_LIMIT: number = Math.floor(
  (ROOT_OFFSET_LIMIT - (ROOT_OFFSET_LIMIT % BLOCK_SIZE) - DEVICE_TABLE_OFFSET) / DEVICE_SLOT_SIZE,
);

/** Where the device table ends, for so many devices. */
export function endOfDeviceTable(devices: number): number {
  return DEVICE_TABLE_OFFSET + devices * DEVICE_SLOT_SIZE;
}

/**
 * Writes superblock and device table into an image whose first block is otherwise complete, for the checksum covers
 * that block.
 */
export function writeSuperblock(image: Uint8Array, superblock: ErofsSuperblock): void {
  const view = viewOf(image);
  writeDeviceTable(image, superblock.devices);
  const at = SUPERBLOCK_OFFSET;
  view.setUint32(at, SUPERBLOCK_MAGIC, true);
  view.setUint32(at + 4, 0, true);
  view.setUint32(at + 8, FEATURE_COMPAT_CHECKSUM | FEATURE_COMPAT_MTIME, true);
  view.setUint8(at + 12, BLOCK_BITS);
  view.setUint16(at + 14, superblock.rootNid, true);
  writeUint64(view, at + 16, superblock.inodeCount);
  writeUint64(view, at + 24, superblock.buildSeconds);
  view.setUint32(at + 32, superblock.buildNanoseconds, true);
  view.setUint32(at + 36, superblock.blocks, true);
  view.setUint32(at + 40, superblock.metaBlock, true);
  view.setUint32(at + 44, superblock.xattrBlock, true);
  image.set(superblock.uuid, at + 48);
  image.set(superblock.volumeName, at + 64);
  view.setUint32(
    at + 80,
    superblock.devices.length > 0 ? KNOWN_INCOMPAT : FEATURE_INCOMPAT_CHUNKED_FILE,
    true,
  );
  view.setUint16(at + 86, superblock.devices.length, true);
  view.setUint16(at + 88, superblock.devices.length > 0 ? DEVICE_TABLE_OFFSET / DEVICE_SLOT_SIZE : 0, true);
  view.setUint32(at + 4, crc32cRegister(image.subarray(at, BLOCK_SIZE)), true);
}

function writeDeviceTable(image: Uint8Array, devices: readonly ErofsDeviceSlot[]): void {
  const view = viewOf(image);
  for (const [index, { blocks, tag, mappedBlock }] of devices.entries()) {
    const at = DEVICE_TABLE_OFFSET + index * DEVICE_SLOT_SIZE;
    image.set(tag, at);
    view.setUint32(at + DEVICE_TAG_SIZE, blocks, true);
    view.setUint32(at + DEVICE_TAG_SIZE + 4, mappedBlock, true);
  }
}

/**
 * Reads the superblock out of the first block of an image; the device table is read through `read`.
 *
 * @throws {EsgzError} `EROFS_INVALID` for what is no EROFS image or damaged; `NOT_SUPPORTED` for features
 * (compression, other block sizes, 48-bit addresses) that esgz does not read.
 */
export function parseSuperblock(
  firstBlock: Uint8Array,
  read: (offset: number, size: number) => Uint8Array,
): ErofsSuperblock {
  const view = viewOf(firstBlock);
  const at = SUPERBLOCK_OFFSET;
  checkSuperblock(firstBlock);
  const incompat = view.getUint32(at + 80, true);
  const deviceCount = (incompat & FEATURE_INCOMPAT_DEVICE_TABLE) === 0 ? 0 : view.getUint16(at + 86, true);
  const tableOffset = view.getUint16(at + 88, true) * DEVICE_SLOT_SIZE;
  return {
    rootNid: view.getUint16(at + 14, true),
    inodeCount: readUint64(view, at + 16),
    buildSeconds: readUint64(view, at + 24),
    buildNanoseconds: view.getUint32(at + 32, true),
    blocks: view.getUint32(at + 36, true),
    metaBlock: view.getUint32(at + 40, true),
    xattrBlock: view.getUint32(at + 44, true),
    uuid: firstBlock.slice(at + 48, at + 64),
    volumeName: untilZero(firstBlock.slice(at + 64, at + 80)),
    devices: parseDeviceTable(read(tableOffset, deviceCount * DEVICE_SLOT_SIZE)),
  };
}

function checkSuperblock(firstBlock: Uint8Array): void {
  const view = viewOf(firstBlock);
  const at = SUPERBLOCK_OFFSET;
  const magic = view.getUint32(at, true);
  if (magic !== SUPERBLOCK_MAGIC)
    throw invalid(`magic 0x${SUPERBLOCK_MAGIC.toString(16)}`, `0x${magic.toString(16)}`);
  const bits = view.getUint8(at + 12);
  if (bits !== BLOCK_BITS) throw unsupported(`block size 2^${BLOCK_BITS}`, `2^${bits}`);
  if ((view.getUint32(at + 8, true) & FEATURE_COMPAT_CHECKSUM) !== 0) checkChecksum(firstBlock);
  const unknown = view.getUint32(at + 80, true) & ~KNOWN_INCOMPAT;
  // Zero padding (1) speaks of compressed data only; some writers always set it.
  if ((unknown & ~1) !== 0)
    throw unsupported("no further incompatible features", `0x${(unknown >>> 0).toString(16)}`);
  if (view.getUint8(at + 90) !== 0) throw unsupported("directory blocks as large as all blocks", "others");
}

function checkChecksum(firstBlock: Uint8Array): void {
  // Not `slice()`: of a Buffer that is no copy.
  const copy = Uint8Array.from(firstBlock.subarray(SUPERBLOCK_OFFSET, BLOCK_SIZE));
  const stored = viewOf(copy).getUint32(4, true);
  copy.fill(0, 4, 8);
  const computed = crc32cRegister(copy);
  if (computed !== stored) throw invalid(`checksum 0x${stored.toString(16)}`, `0x${computed.toString(16)}`);
}

function parseDeviceTable(table: Uint8Array): ErofsDeviceSlot[] {
  return Array.from({ length: table.length / DEVICE_SLOT_SIZE }, (_, index) => {
    const slot = table.slice(index * DEVICE_SLOT_SIZE, (index + 1) * DEVICE_SLOT_SIZE);
    const view = viewOf(slot);
    return {
      blocks: view.getUint32(DEVICE_TAG_SIZE, true),
      mappedBlock: view.getUint32(DEVICE_TAG_SIZE + 4, true),
      tag: untilZero(slot.subarray(0, DEVICE_TAG_SIZE)),
    };
  });
}

function untilZero(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

function invalid(wanted: string, found: string): EsgzError {
  return new EsgzError("EROFS_INVALID", `Cannot read EROFS superblock: expected ${wanted}, got ${found}`);
}

function unsupported(wanted: string, found: string): EsgzError {
  return new EsgzError("NOT_SUPPORTED", `Cannot read EROFS superblock: expected ${wanted}, got ${found}`);
}
