/**
 * A tree becomes an EROFS image.
 *
 * @module
 */
import { encodeUtf8, viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { checkNode } from "./check-node.ts";
import { writeChunkIndexes } from "./chunk-map.ts";
import { writeDirectory } from "./directory-blocks.ts";
import {
  alignUp,
  BLOCK_SIZE,
  CHUNK_INDEX_SIZE,
  CHUNK_INDEXES,
  DEVICE_TAG_SIZE,
  EXTENDED_INODE_SIZE,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  NODE_SLOT_SIZE,
  NULL_BLOCK,
} from "./disk-layout.ts";
import type { ErofsDirectory, ErofsNode } from "./erofs-node.ts";
import { planImage, type ImagePlan } from "./image-plan.ts";
import { collectInodes, type InodeList } from "./inode-list.ts";
import { TYPE_NUMBERS } from "./node-types.ts";
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

/** How to compile a tree. */
export interface CompileErofsOptions {
  /** The data devices that extents refer to. A mount must name as many, in this order. At most {@linkcode DEVICE_LIMIT}. */
  readonly devices?: readonly ErofsDevice[];
  /** 16 bytes; zeros by default. */
  readonly uuid?: Uint8Array;
  /** At most 15 bytes of UTF-8. */
  readonly volumeName?: string;
  /** What to do with xattrs that EROFS cannot store (see `isErofsXattrName`); `reject` by default. */
  readonly foreignXattrs?: ForeignXattrs;
  /** The largest image that may be made, in bytes; 1 GiB by default. */
  readonly maxImageSize?: number;
}

/** A compiled image. */
export interface ErofsImage {
  /** The image; its size is a multiple of 4096. */
  readonly bytes: Uint8Array;
  readonly inodeCount: number;
  readonly rootNid: number;
  /** The names of xattrs that were left out because EROFS cannot store them, each once. */
  readonly skippedXattrs: readonly string[];
}

const DEFAULT_MAX_IMAGE_SIZE = 2 ** 30;
const VOLUME_NAME_LIMIT = 15;

/**
 * Compiles a tree to an EROFS image that holds everything but the contents of files, which lie on data devices.
 *
 * The same tree gives the same bytes. All inodes are in the extended form, so times have nanoseconds and ids and
 * link counts 32 bits. The image can be mounted by Linux 5.16 or newer.
 *
 * @throws {EsgzError} `EROFS_INVALID` for a tree that cannot be an image; `LIMIT_EXCEEDED` if the image would be
 * larger than `maxImageSize`, before memory is taken for it.
 */
export function compileErofs(root: ErofsDirectory, options: CompileErofsOptions = {}): ErofsImage {
  const devices = checkDevices(options.devices ?? []);
  const list = collectInodes(root);
  checkNodes(
    list,
    devices.map(({ blocks }) => blocks),
  );
  const xattrs = new XattrTable(list.nodes, { foreign: options.foreignXattrs ?? "reject" });
  const plan = planImage(list, { xattrs, firstRecord: endOfDeviceTable(devices.length) });
  const limit = options.maxImageSize ?? DEFAULT_MAX_IMAGE_SIZE;
  if (plan.imageSize > limit) throw tooLarge("bytes", limit, plan.imageSize);
  const bytes = new Uint8Array(plan.imageSize);
  const rootNid = plan.nids[0] ?? 0;
  writeInodes(viewOf(bytes), { list, plan, xattrs });
  xattrs.writeShared(viewOf(bytes), plan.sharedXattrsOffset);
  writeSuperblock(bytes, {
    rootNid,
    inodeCount: list.nodes.length,
    blocks: plan.imageSize / BLOCK_SIZE,
    metaBlock: 0,
    xattrBlock: xattrs.sharedSize > 0 ? plan.sharedXattrsOffset / BLOCK_SIZE : 0,
    buildSeconds: 0,
    buildNanoseconds: 0,
    uuid: uuidFrom(options.uuid),
    volumeName: textField("volume name", options.volumeName ?? "", VOLUME_NAME_LIMIT),
    devices: slotsFromDevices(devices, plan.imageSize / BLOCK_SIZE),
  });
  return { bytes, inodeCount: list.nodes.length, rootNid, skippedXattrs: xattrs.skippedNames };
}

type CheckedDevice = Omit<ErofsDeviceSlot, "mappedBlock">;

interface Parts {
  readonly list: InodeList;
  readonly plan: ImagePlan;
  readonly xattrs: XattrTable;
}

function writeInodes(view: DataView, parts: Parts): void {
  for (const [inode, node] of parts.list.nodes.entries()) {
    const offset = (parts.plan.nids[inode] ?? 0) * NODE_SLOT_SIZE;
    const body = offset + EXTENDED_INODE_SIZE + parts.xattrs.sizeOf(inode);
    writeInode(view, offset, { node, inode, parts });
    parts.xattrs.write(inode, view, offset + EXTENDED_INODE_SIZE);
    writeData(view, body, { node, inode, parts });
  }
}

interface InodeToWrite {
  readonly node: ErofsNode;
  readonly inode: number;
  readonly parts: Parts;
}

function writeInode(view: DataView, offset: number, { node, inode, parts }: InodeToWrite): void {
  const { list, plan, xattrs } = parts;
  const xattrSize = xattrs.sizeOf(inode);
  view.setUint16(offset, 1 + 2 * (plan.layouts[inode] ?? 0), true);
  // The header of 12 bytes counts as one.
  view.setUint16(offset + 2, xattrSize === 0 ? 0 : xattrSize / 4 - 2, true);
  view.setUint16(offset + 4, TYPE_NUMBERS[node.type].modeBits | node.mode, true);
  writeUint64(view, offset + 8, plan.sizes[inode] ?? 0);
  view.setUint32(offset + 16, dataField({ node, inode, parts }), true);
  view.setUint32(offset + 20, inode + 1, true);
  view.setUint32(offset + 24, node.uid, true);
  view.setUint32(offset + 28, node.gid, true);
  writeUint64(view, offset + 32, node.mtime.seconds);
  view.setUint32(offset + 40, node.mtime.nanoseconds, true);
  view.setUint32(offset + 44, list.linkCounts[inode] ?? 0, true);
}

/** The field that says where the data is, or which device a device file means. */
function dataField({ node, inode, parts }: InodeToWrite): number {
  if (node.type === "char" || node.type === "block") return encodeDeviceNumber(node);
  if (node.type === "reg") return node.size === 0 ? 0 : CHUNK_INDEXES | (parts.plan.chunkBits[inode] ?? 0);
  return (parts.plan.blockOffsets[inode] ?? 0) / BLOCK_SIZE;
}

/** Linux's 32-bit form: the low 8 bits of the minor number, 12 of the major, the other 12 of the minor. */
function encodeDeviceNumber({ major, minor }: { readonly major: number; readonly minor: number }): number {
  return ((minor & 0xff) | (major << 8) | ((minor & 0xf_ff00) << 12)) >>> 0;
}

function writeData(view: DataView, body: number, { node, inode, parts }: InodeToWrite): void {
  const { list, plan } = parts;
  const offset = plan.blockOffsets[inode] ?? 0;
  if (node.type === "reg") {
    const indexes = alignUp(body, CHUNK_INDEX_SIZE);
    writeChunkIndexes(view, indexes, { file: node, bits: plan.chunkBits[inode] ?? 0 });
  } else if (node.type === "dir") {
    const size = plan.sizes[inode] ?? 0;
    const lastOffset =
      plan.layouts[inode] === LAYOUT_INLINE ? body : offset + alignUp(size, BLOCK_SIZE) - BLOCK_SIZE;
    writeDirectory(view, { list, directory: inode, offset, lastOffset, nids: plan.nids });
  } else if (node.type === "symlink") {
    const target = plan.targets.get(inode) ?? new Uint8Array(0);
    const image = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    image.set(target, plan.layouts[inode] === LAYOUT_PLAIN ? offset : body);
  }
}

function checkNodes(list: InodeList, deviceBlocks: readonly number[]): void {
  for (const [inode, node] of list.nodes.entries()) {
    try {
      checkNode(node, deviceBlocks);
    } catch (cause) {
      const name = JSON.stringify(nameOf(list, inode));
      throw new EsgzError("EROFS_INVALID", `Cannot compile ${name}: expected a node that an inode can hold`, {
        cause,
      });
    }
  }
}

/** One of the names of an inode, for messages. */
function nameOf(list: InodeList, inode: number): string {
  const entry = inode === 0 ? -1 : list.entryInodes.indexOf(inode);
  return entry < 0 ? "/" : list.names.textOf(entry);
}

function checkDevices(devices: readonly ErofsDevice[]): readonly CheckedDevice[] {
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
