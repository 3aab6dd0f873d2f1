/**
 * What threads ask that read a layer's data file by themselves.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { BLOCK_SIZE } from "./chunk-row.ts";

/**
 * Whether a range of a layer's data device may be read from its file as it is: all its blocks are there and verified.
 *
 * @param blocks the bytes of `Layer.readyBlocks`, which threads share.
 */
export function isRangeReady(blocks: Uint8Array, range: ByteRange): boolean {
  const end = Math.ceil((range.offset + range.size) / BLOCK_SIZE);
  for (let block = Math.floor(range.offset / BLOCK_SIZE); block < end; block += 1) {
    const byte = block >>> 3;
    if (byte >= blocks.length || (Atomics.load(blocks, byte) & (1 << (block & 7))) === 0) return false;
  }
  return true;
}
