/**
 * Blocks of a data device that came before anybody had asked for them, and whether they were of use: in shared memory, since
 * hits are answered by other threads.
 *
 * ```text
 * bits   one bit for each block of 4096 bytes: it came early, and nobody has read it yet
 * used   8 bytes, one counter for all layers of a fetcher: bytes of early blocks that were read
 * ```
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { BLOCK_SIZE } from "../store/index.ts";

/** What threads share. */
export interface EarlyBlocksMemory {
  readonly bits: Uint8Array;
  readonly used: BigInt64Array;
}

/** Memory for a layer; `used` is the counter of whoever fetches. */
export function createEarlyBlocksMemory(dataSize: number, used: BigInt64Array): EarlyBlocksMemory {
  const blocks = Math.ceil(dataSize / BLOCK_SIZE);
  return { bits: new Uint8Array(new SharedArrayBuffer(Math.ceil(blocks / 8))), used };
}

/** A counter for all layers of a fetcher. */
export function createEarlyUseCounter(): BigInt64Array {
  return new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
}

/** Marks blocks that came early, and counts those that are read. */
export class EarlyBlocks {
  readonly memory: EarlyBlocksMemory;

  constructor(memory: EarlyBlocksMemory) {
    this.memory = memory;
  }

  /** Notes a range that came early. Returns the bytes of its blocks that were not noted before. */
  add(range: ByteRange): number {
    const { bits } = this.memory;
    let count = 0;
    for (const { byte, mask } of bytesOf(range, bits.length)) {
      count += bitCount(mask & ~Atomics.or(bits, byte, mask));
    }
    return count * BLOCK_SIZE;
  }

  /** Notes a range that is read: its early blocks have been of use. */
  use(range: ByteRange): void {
    const { bits, used } = this.memory;
    let count = 0;
    for (const { byte, mask } of bytesOf(range, bits.length)) {
      if ((Atomics.load(bits, byte) & mask) === 0) continue;
      count += bitCount(mask & Atomics.and(bits, byte, ~mask));
    }
    if (count > 0) Atomics.add(used, 0, BigInt(count * BLOCK_SIZE));
  }
}

/** The bytes of the bits of a range's blocks. */
function* bytesOf(
  { offset, size }: ByteRange,
  length: number,
): Generator<{ readonly byte: number; readonly mask: number }> {
  if (size === 0) return;
  const first = Math.floor(offset / BLOCK_SIZE);
  const end = Math.min(Math.ceil((offset + size) / BLOCK_SIZE), length * 8);
  for (let block = first; block < end;) {
    const byte = block >>> 3;
    const next = Math.min(end, (byte + 1) * 8);
    const mask = ((1 << (next - block)) - 1) << (block & 7);
    yield { byte, mask };
    block = next;
  }
}

function bitCount(byte: number): number {
  let count = 0;
  for (let rest = byte & 0xff; rest !== 0; rest &= rest - 1) count += 1;
  return count;
}
