/**
 * The checksum of a tar header block: the sum of its bytes, with the checksum field itself counted as spaces.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { TAR_BLOCK_SIZE } from "./tar-block.ts";
import { USTAR } from "./ustar-layout.ts";

const SPACE = 0x20;

/** The sum of the block's bytes as unsigned numbers, as POSIX wants it. */
export function checksumOf(block: Uint8Array): number {
  const view = viewOf(block);
  let lanes = 0;
  // Four bytes at a time in two lanes of 16 bits: 512 bytes of 255 add up to 2 * 65,280, so no lane overflows.
  for (let i = 0; i < TAR_BLOCK_SIZE; i += 4) {
    const word = view.getUint32(i);
    lanes += (word & 0xff00ff) + ((word >>> 8) & 0xff00ff);
  }
  return (lanes % 0x10000) + Math.floor(lanes / 0x10000) + spacesFor(block);
}

/** The sum of the block's bytes as signed numbers, as some old tars (SunOS) wrote it. */
export function signedChecksumOf(block: Uint8Array): number {
  let high = 0;
  for (let i = 0; i < TAR_BLOCK_SIZE; i += 1) if (!isChecksumByte(i) && (block[i] ?? 0) >= 0x80) high += 1;
  return checksumOf(block) - 256 * high;
}

/** What to add to the plain sum so that the checksum field counts as 8 spaces. */
function spacesFor(block: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < USTAR.checksum.size; i += 1) sum += SPACE - (block[USTAR.checksum.at + i] ?? 0);
  return sum;
}

function isChecksumByte(index: number): boolean {
  return index >= USTAR.checksum.at && index < USTAR.checksum.at + USTAR.checksum.size;
}
