/**
 * Whether an image and its devices fit, before the kernel sees them.
 *
 * The kernel says EINVAL to a wrong number, takes no devices at all for an image that has its devices behind itself, and finds
 * out about a short device when somebody reads.
 *
 * @module
 */
import { open, stat } from "node:fs/promises";
import { encodePathText } from "../bytes/index.ts";
import { DEVICE_LIMIT, ErofsReader, type ErofsSuperblock } from "../erofs/index.ts";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { usePoolShare } from "./pool-share.ts";

const BLOCK_SIZE = 4096;
const DEVICE_SLOT_SIZE = 128;

/** The superblock and the largest device table lie in so many first bytes of an image. */
const HEADER_LIMIT = BLOCK_SIZE + DEVICE_LIMIT * DEVICE_SLOT_SIZE;

/** What an image is mounted with. */
export interface ImageCheckOptions {
  readonly devices: readonly string[];
  /** Loop devices lose the end of a file that is no multiple of 512 bytes; the kernel fills it up otherwise. */
  readonly wholeBlocks: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Checks the number and the sizes of devices against what the image says.
 *
 * @throws {EsgzError} `MOUNT_FAILED` if they do not fit, `EROFS_INVALID` for what is no image.
 */
export async function checkImage(meta: string, options: ImageCheckOptions): Promise<void> {
  const { devices, wholeBlocks, signal } = options;
  const header = await usePoolShare(() => readHeader(meta));
  const superblock = parseHeader(header.bytes);
  if (superblock === undefined) return;
  const slots = superblock.devices;
  if (devices.length === 0 && slots.length > 0) {
    checkAppended(meta, { superblock, size: header.size });
    return;
  }
  if (devices.length !== slots.length) {
    const text = `Cannot mount EROFS image "${meta}": expected ${slots.length} data devices, got ${devices.length}`;
    throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EINVAL" } });
  }
  for (const [index, device] of devices.entries()) {
    signal?.throwIfAborted();
    const wanted = (slots[index]?.blocks ?? 0) * BLOCK_SIZE;
    await checkDevice(device, { meta, index, wanted, least: wholeBlocks ? wanted : wanted - BLOCK_SIZE + 1 });
  }
}

async function readHeader(
  meta: string,
): Promise<{ readonly bytes: Uint8Array; readonly size: number | undefined }> {
  await using handle = await open(Buffer.from(encodePathText(meta)), "r");
  const status = await handle.stat();
  const size = status.isFile() ? status.size : undefined;
  const buffer = new Uint8Array(Math.min(size ?? HEADER_LIMIT, HEADER_LIMIT));
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
  return { bytes: buffer.subarray(0, bytesRead), size };
}

/** Undefined for images that other tools made with features that are the kernel's to judge. */
function parseHeader(bytes: Uint8Array): ErofsSuperblock | undefined {
  try {
    return new ErofsReader(bytes).superblock;
  } catch (error) {
    if (isEsgzError(error, "NOT_SUPPORTED")) return undefined;
    throw error;
  }
}

function checkAppended(
  meta: string,
  { superblock, size }: { readonly superblock: ErofsSuperblock; readonly size: number | undefined },
): void {
  const end = Math.max(0, ...superblock.devices.map((slot) => slot.mappedBlock + slot.blocks)) * BLOCK_SIZE;
  if (size === undefined || size >= end) return;
  const text = `Cannot mount EROFS image "${meta}": expected ${superblock.devices.length} data devices, named or behind the image, got none`;
  throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EINVAL" } });
}

async function checkDevice(
  device: string,
  expected: {
    readonly meta: string;
    readonly index: number;
    readonly wanted: number;
    readonly least: number;
  },
): Promise<void> {
  const { meta, index, wanted, least } = expected;
  const status = await usePoolShare(() => stat(Buffer.from(encodePathText(device))));
  if (!status.isFile() || status.size >= least) return;
  const text = `Cannot mount EROFS image "${meta}": expected ${wanted} bytes on data device ${index} "${device}", got ${status.size}`;
  throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EINVAL", device: index } });
}
