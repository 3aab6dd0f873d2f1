/**
 * Where zstd frames end, found without decompressing them.
 *
 *     frame      4  magic 28 b5 2f fd
 *                1  descriptor: content size flag (2 bits), single segment, unused, reserved, checksum, dictionary id flag (2)
 *              0-1  window descriptor, unless single segment
 *              0-4  dictionary id
 *              0-8  content size
 *                   blocks: 3 bytes (last: 1 bit, type: 2, size: 21) and content (type 1, RLE: 1 byte)
 *              0-4  checksum
 *
 *     skippable  4  magic 5? 2a 4d 18
 *                4  length of what follows
 *
 * Source: RFC 8878, section 3.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";

/** One frame at the start of some bytes. */
export interface ZstdFrame {
  readonly kind: "data" | "skippable";
  /** Compressed bytes of the frame; more than there are when it is cut off. */
  readonly size: number;
  /** What the frame says its content's size is, where it does. */
  readonly contentSize: number | undefined;
}

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a5;
const DICTIONARY_ID_SIZES = [0, 1, 2, 4] as const;
const BLOCK_HEADER_SIZE = 3;
const RLE_BLOCK = 1;

/** Measures the frame that begins at `at`, or undefined where none does. */
export function measureZstdFrame(bytes: Uint8Array, at: number): ZstdFrame | undefined {
  if (at + 6 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const magic = view.getUint32(at, true);
  if (magic >>> 4 === SKIPPABLE_MAGIC) {
    if (at + 8 > bytes.length) return undefined;
    return { kind: "skippable", size: 8 + view.getUint32(at + 4, true), contentSize: undefined };
  }
  if (magic !== FRAME_MAGIC) return undefined;
  const descriptor = bytes[at + 4] ?? 0;
  const singleSegment = (descriptor & 0x20) !== 0;
  const contentSizeAt = at + 5 + (singleSegment ? 0 : 1) + (DICTIONARY_ID_SIZES[descriptor & 3] ?? 0);
  const contentSizeLength = contentSizeLengthOf(descriptor >>> 6, singleSegment);
  if (contentSizeAt + contentSizeLength > bytes.length) return undefined;
  const end = endOfBlocks(bytes, contentSizeAt + contentSizeLength) + ((descriptor & 4) === 0 ? 0 : 4);
  return { kind: "data", size: end - at, contentSize: contentSizeOf(view, contentSizeAt, contentSizeLength) };
}

function contentSizeLengthOf(flag: number, singleSegment: boolean): number {
  if (flag === 0) return singleSegment ? 1 : 0;
  return 1 << flag;
}

function contentSizeOf(view: DataView, at: number, length: number): number | undefined {
  if (length === 1) return view.getUint8(at);
  if (length === 2) return view.getUint16(at, true) + 256;
  if (length === 4) return view.getUint32(at, true);
  if (length === 8) return Number(view.getBigUint64(at, true));
  return undefined;
}

/** Where the last block ends; past the end of the bytes when they are cut off. */
function endOfBlocks(bytes: Uint8Array, start: number): number {
  let at = start;
  for (;;) {
    if (at + BLOCK_HEADER_SIZE > bytes.length) return bytes.length + 1;
    const header = (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16);
    const isRle = ((header >>> 1) & 3) === RLE_BLOCK;
    at += BLOCK_HEADER_SIZE + (isRle ? 1 : header >>> 3);
    if ((header & 1) !== 0) return at;
  }
}
