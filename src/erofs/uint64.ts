/**
 * 64-bit little-endian numbers as JavaScript numbers, without the cost of a BigInt.
 *
 * @module
 */
const HIGH_UNIT = 2 ** 32;

/** Writes an integer of at most 53 bits as 64 bits; a negative one as two's complement. */
export function writeUint64(view: DataView, offset: number, value: number): void {
  if (value >= 0 && value < HIGH_UNIT) {
    view.setUint32(offset, value, true);
    view.setUint32(offset + 4, 0, true);
    return;
  }
  // Both conversions of setUint32 wrap modulo 2^32, and floor keeps the sign in the upper half.
  view.setUint32(offset, value % HIGH_UNIT, true);
  view.setUint32(offset + 4, Math.floor(value / HIGH_UNIT), true);
}

/** Reads 64 bits without a sign; above 2^53 the result is rounded. */
export function readUint64(view: DataView, offset: number): number {
  return view.getUint32(offset + 4, true) * HIGH_UNIT + view.getUint32(offset, true);
}

/** Reads 64 bits of two's complement; beyond 53 bits the result is rounded. */
export function readInt64(view: DataView, offset: number): number {
  return view.getInt32(offset + 4, true) * HIGH_UNIT + view.getUint32(offset, true);
}
