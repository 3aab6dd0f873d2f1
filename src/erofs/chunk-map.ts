/**
 * A file's extents as chunks of one size: as few as possible, usually one.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { alignUp, BLOCK_SIZE, CHUNK_BITS_MASK, CHUNK_INDEX_SIZE, NULL_BLOCK } from "./disk-layout.ts";
import type { ErofsExtent, ErofsFile } from "./erofs-node.ts";

/** The chunk size as a power of two of blocks: the largest that no change from one run to another falls into. */
export function chunkBitsOf(file: ErofsFile): number {
  const blocks = Math.ceil(file.size / BLOCK_SIZE);
  let bits = Math.min(bitsToCover(blocks), CHUNK_BITS_MASK);
  if (isOneRun(file)) return bits;
  let end = 0;
  let previous: ErofsExtent | undefined;
  for (const extent of file.extents) {
    const start = extent.fileOffset / BLOCK_SIZE;
    if (!continues(previous, extent)) bits = Math.min(bits, trailingZeros(end), trailingZeros(start));
    end = start + Math.ceil(extent.size / BLOCK_SIZE);
    previous = extent;
  }
  return end < blocks ? Math.min(bits, trailingZeros(end)) : bits;
}

/** The number of chunks that a file of a size in bytes has. */
export function chunkCountOf(size: number, bits: number): number {
  return Math.ceil(size / chunkSizeOf(bits));
}

/** The size of a chunk in bytes. Powers of two are shifted for, which is faster than raising to them. */
function chunkSizeOf(bits: number): number {
  return BLOCK_SIZE * ((1 << bits) >>> 0);
}

/** Writes the chunk indexes of a file at `offset`. */
export function writeChunkIndexes(
  view: DataView,
  offset: number,
  options: { readonly file: ErofsFile; readonly bits: number },
): void {
  const { file, bits } = options;
  const chunkSize = chunkSizeOf(bits);
  const count = chunkCountOf(file.size, bits);
  let next = 0;
  for (let chunk = 0, at = offset; chunk < count; chunk += 1, at += CHUNK_INDEX_SIZE) {
    const start = chunk * chunkSize;
    while (endOf(file.extents[next]) <= start) next += 1;
    const extent = file.extents[next];
    const isHole = extent === undefined || extent.fileOffset > start;
    view.setUint16(at + 2, isHole ? 0 : extent.device + 1, true);
    const block = isHole ? NULL_BLOCK : (extent.deviceOffset + start - extent.fileOffset) / BLOCK_SIZE;
    view.setUint32(at + 4, block, true);
  }
}

/**
 * Checks a file's size and extents against the devices (their sizes in blocks).
 *
 * @throws {EsgzError} `EROFS_INVALID` for extents that are not aligned, not in order, empty, or not inside file and device.
 */
export function checkExtents(file: ErofsFile, deviceBlocks: readonly number[]): void {
  if (!Number.isSafeInteger(file.size) || file.size < 0) throw invalid(`a size of ${file.size} bytes`);
  let end = 0;
  for (const extent of file.extents) {
    const { fileOffset, size, device, deviceOffset } = extent;
    if (!isPlace(fileOffset) || !isPlace(deviceOffset))
      throw invalid(`one at ${fileOffset} from ${deviceOffset}`);
    if (!Number.isSafeInteger(size) || size <= 0) throw invalid(`one of ${size} bytes`);
    if (fileOffset < end) throw invalid(`one at ${fileOffset} that overlaps the one before`);
    if (fileOffset + size > file.size)
      throw invalid(`one that ends at ${fileOffset + size} in ${file.size} bytes`);
    const blocks = deviceBlocks[device];
    if (blocks === undefined) throw invalid(`one on device ${device} of ${deviceBlocks.length}`);
    if (deviceOffset + size > blocks * BLOCK_SIZE) throw invalid(`one that ends behind device ${device}`);
    end = endOf(extent);
  }
}

function isPlace(offset: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && offset % BLOCK_SIZE === 0;
}

/** As nearly all files are. */
function isOneRun({ size, extents }: ErofsFile): boolean {
  const [first] = extents;
  return extents.length === 1 && first?.fileOffset === 0 && first.size === size;
}

function endOf(extent: ErofsExtent | undefined): number {
  return extent === undefined ? Infinity : alignUp(extent.fileOffset + extent.size, BLOCK_SIZE);
}

/** Whether a run goes on without a gap in the file or on the device. The first one goes on from the file's start. */
function continues(previous: ErofsExtent | undefined, extent: ErofsExtent): boolean {
  if (previous === undefined) return extent.fileOffset === 0;
  const step = endOf(previous) - previous.fileOffset;
  return (
    extent.device === previous.device &&
    extent.fileOffset === previous.fileOffset + step &&
    extent.deviceOffset === previous.deviceOffset + step
  );
}

/** The smallest exponent whose power of two is not below `count`. */
function bitsToCover(count: number): number {
  if (count <= 2 ** 31) return count <= 1 ? 0 : 32 - Math.clz32(count - 1);
  let bits = 31;
  while (2 ** bits < count) bits += 1;
  return bits;
}

/** How often 2 divides a number, at most 31 times; 0 is divided by all. */
function trailingZeros(value: number): number {
  const low = (value % 2 ** 32) | 0;
  return low === 0 ? CHUNK_BITS_MASK : 31 - Math.clz32(low & -low);
}

function invalid(found: string): EsgzError {
  return new EsgzError(
    "EROFS_INVALID",
    `Cannot compile file: expected extents in order, aligned to ${BLOCK_SIZE}, got ${found}`,
  );
}
