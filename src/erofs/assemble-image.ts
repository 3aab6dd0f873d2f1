/**
 * Numbered inodes become an image.
 *
 * @module
 */
import { encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { writeDirectory } from "./directory-blocks.ts";
import {
  alignUp,
  BLOCK_SIZE,
  CHUNK_INDEX_SIZE,
  DEVICE_TAG_SIZE,
  EXTENDED_INODE_SIZE,
  LAYOUT_INLINE,
  NODE_SLOT_SIZE,
  NULL_BLOCK,
} from "./disk-layout.ts";
import { planImage, type ImagePlan } from "./image-plan.ts";
import { ImageMemory, type InodeContents, type InodeList } from "./inode-list.ts";
import {
  BLOCK_DEVICE_TYPE,
  CHAR_DEVICE_TYPE,
  DIRECTORY_TYPE,
  FILE_TYPE,
  SYMLINK_TYPE,
} from "./node-types.ts";
import { DEVICE_LIMIT, endOfDeviceTable, writeSuperblock, type ErofsDeviceSlot } from "./superblock.ts";
import { writeUint64 } from "./uint64.ts";
import { XattrTable, type ForeignXattrs } from "./xattr-table.ts";

/** A data device of an image. */
export interface ErofsDevice {
  /** Bytes that files can be placed in; counted up to a multiple of 4096. */
  readonly size: number;
  /** At most 64 bytes of UTF-8 that say what belongs here, such as the hexadecimal digits of a SHA-256. */
  readonly tag?: string;
}

/** A device whose numbers fit. */
export type CheckedDevice = Omit<ErofsDeviceSlot, "mappedBlock">;

/** What an image has beside inodes. */
export interface ImageFrame {
  readonly devices: readonly CheckedDevice[];
  readonly uuid?: Uint8Array | undefined;
  readonly volumeName?: string | undefined;
  readonly foreignXattrs: ForeignXattrs;
  readonly maxImageSize: number;
}

/** A compiled image. */
export interface ErofsImage {
  /** The image; its size is a multiple of 4096. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly inodeCount: number;
  readonly rootNid: number;
  /** The names of xattrs that were left out because EROFS cannot store them, each once. */
  readonly skippedXattrs: readonly string[];
}

const VOLUME_NAME_LIMIT = 15;

/**
 * Places and writes inodes. Whatever is not said of them in the list comes from `contents`.
 *
 * @throws {EsgzError} `EROFS_INVALID` for extended attributes and fields that an image cannot have; `LIMIT_EXCEEDED` if the
 * image would be larger than `maxImageSize`, before memory is taken for it.
 */
export function assembleImage(list: InodeList, contents: InodeContents, frame: ImageFrame): ErofsImage {
  const { devices, maxImageSize } = frame;
  const xattrs = new XattrTable(list, { foreign: frame.foreignXattrs });
  const plan = planImage(list, { xattrs, firstRecord: endOfDeviceTable(devices.length) });
  if (plan.imageSize > maxImageSize) throw tooLarge("bytes", maxImageSize, plan.imageSize);
  const bytes = new Uint8Array(plan.imageSize);
  const image = new ImageMemory(bytes);
  const rootNid = plan.nids[0] ?? 0;
  writeInodes(image, { list, contents, plan, xattrs });
  xattrs.writeShared(image.view, plan.sharedXattrsOffset);
  writeSuperblock(bytes, {
    rootNid,
    inodeCount: list.count,
    blocks: plan.imageSize / BLOCK_SIZE,
    metaBlock: 0,
    xattrBlock: xattrs.sharedSize > 0 ? plan.sharedXattrsOffset / BLOCK_SIZE : 0,
    buildSeconds: 0,
    buildNanoseconds: 0,
    uuid: uuidFrom(frame.uuid),
    volumeName: textField("volume name", frame.volumeName ?? "", VOLUME_NAME_LIMIT),
    devices: slotsFromDevices(devices, plan.imageSize / BLOCK_SIZE),
  });
  return { bytes, inodeCount: list.count, rootNid, skippedXattrs: xattrs.skippedNames };
}

interface Parts {
  readonly list: InodeList;
  readonly contents: InodeContents;
  readonly plan: ImagePlan;
  readonly xattrs: XattrTable;
}

function writeInodes(image: ImageMemory, parts: Parts): void {
  const { list, contents, plan, xattrs } = parts;
  const { view } = image;
  for (let inode = 0; inode < list.count; inode += 1) {
    const offset = (plan.nids[inode] ?? 0) * NODE_SLOT_SIZE;
    const xattrSize = xattrs.sizeOf(inode);
    view.setUint16(offset, 1 + 2 * (plan.layouts[inode] ?? 0), true);
    // The header of 12 bytes counts as one.
    if (xattrSize > 0) view.setUint16(offset + 2, xattrSize / 4 - 2, true);
    writeUint64(view, offset + 8, plan.sizes[inode] ?? 0);
    view.setUint32(offset + 16, dataField(inode, parts), true);
    view.setUint32(offset + 20, inode + 1, true);
    view.setUint32(offset + 44, list.linkCounts[inode] ?? 0, true);
    contents.writeAttributes(inode, image, offset);
    if (xattrSize > 0) xattrs.write(inode, view, offset + EXTENDED_INODE_SIZE);
    writeData(image, { inode, body: offset + EXTENDED_INODE_SIZE + xattrSize, parts });
  }
}

/** The field that says where the data is, or which device a device file means. */
function dataField(inode: number, { list, plan }: Parts): number {
  const type = list.types[inode];
  return type === FILE_TYPE || type === CHAR_DEVICE_TYPE || type === BLOCK_DEVICE_TYPE
    ? (list.fields[inode] ?? 0)
    : (plan.blockOffsets[inode] ?? 0) / BLOCK_SIZE;
}

/** Writes what lies behind an inode, at `body`, or in its own blocks. */
function writeData(
  image: ImageMemory,
  { inode, body, parts }: { readonly inode: number; readonly body: number; readonly parts: Parts },
): void {
  const { list, plan, contents } = parts;
  const type = list.types[inode];
  if (type === FILE_TYPE) {
    if (plan.sizes[inode] !== 0) contents.writeBody(inode, image, alignUp(body, CHUNK_INDEX_SIZE));
    return;
  }
  const offset = plan.blockOffsets[inode] ?? 0;
  const isInline = plan.layouts[inode] === LAYOUT_INLINE;
  if (type === SYMLINK_TYPE) contents.writeBody(inode, image, isInline ? body : offset);
  if (type !== DIRECTORY_TYPE) return;
  const lastOffset = isInline ? body : offset + alignUp(plan.sizes[inode] ?? 0, BLOCK_SIZE) - BLOCK_SIZE;
  writeDirectory(image, { list, directory: inode, offset, lastOffset, nids: plan.nids });
}

/**
 * Checks the devices of an image.
 *
 * @throws {EsgzError} `LIMIT_EXCEEDED` for too many; `EROFS_INVALID` for sizes and tags that do not fit.
 */
export function checkDevices(devices: readonly ErofsDevice[]): readonly CheckedDevice[] {
  if (devices.length > DEVICE_LIMIT) throw tooLarge("data devices", DEVICE_LIMIT, devices.length);
  return devices.map(checkDevice);
}

/**
 * The slots of the device table. Devices are mapped one after the other behind the image: a mount that names no
 * devices fails to read there, where address 0 would give it bytes of the image as file contents.
 */
function slotsFromDevices(devices: readonly CheckedDevice[], imageBlocks: number): ErofsDeviceSlot[] {
  let mapped = imageBlocks;
  return devices.map((device) => {
    const mappedBlock = Math.min(mapped, NULL_BLOCK);
    mapped += device.blocks;
    return { ...device, mappedBlock };
  });
}

function tooLarge(what: string, limit: number, found: number): EsgzError {
  return new EsgzError(
    "LIMIT_EXCEEDED",
    `Cannot compile EROFS image: expected at most ${limit} ${what}, got ${found}`,
  );
}

function checkDevice(device: ErofsDevice): CheckedDevice {
  const blocks = Math.ceil(device.size / BLOCK_SIZE);
  if (!(blocks >= 0 && blocks <= NULL_BLOCK)) {
    const text = `Cannot compile EROFS image: expected devices of at most ${NULL_BLOCK * BLOCK_SIZE} bytes, got ${device.size}`;
    throw new EsgzError("EROFS_INVALID", text);
  }
  return { blocks, tag: textField("device tag", device.tag ?? "", DEVICE_TAG_SIZE) };
}

function textField(what: string, text: string, limit: number): Uint8Array {
  const bytes = encodeUtf8(text);
  if (bytes.length <= limit && !bytes.includes(0)) return bytes;
  const message = `Cannot compile EROFS image: expected a ${what} of at most ${limit} bytes, got ${bytes.length}`;
  throw new EsgzError("EROFS_INVALID", message);
}

function uuidFrom(uuid: Uint8Array | undefined): Uint8Array {
  if (uuid === undefined || uuid.length === 16) return uuid ?? new Uint8Array(16);
  throw new EsgzError(
    "EROFS_INVALID",
    `Cannot compile EROFS image: expected a UUID of 16 bytes, got ${uuid.length}`,
  );
}
