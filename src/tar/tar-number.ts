/**
 * Numbers in tar header fields.
 *
 * | form     | bytes of the field                                                                     |
 * | -------- | -------------------------------------------------------------------------------------- |
 * | octal    | leading spaces or NULs, octal digits, then a space or NUL or the field's end             |
 * | base-256 | first bit 1; the other bits are a big-endian number in two's complement (GNU extension) |
 *
 * A field of only spaces and NULs is 0.
 *
 * @module
 */
const SPACE = 0x20;
const DIGIT_0 = 0x30;

/** The number in a header field, or undefined if it is none or is no safe integer. May be negative. */
export function decodeTarNumber(block: Uint8Array, at: number, size: number): number | undefined {
  return ((block[at] ?? 0) & 0x80) === 0 ? decodeOctal(block, at, size) : decodeBase256(block, at, size);
}

function decodeOctal(block: Uint8Array, at: number, size: number): number | undefined {
  const end = at + size;
  let i = at;
  while (i < end && (block[i] === SPACE || block[i] === 0)) i += 1;
  let value = 0;
  for (; i < end; i += 1) {
    const byte = block[i] ?? 0;
    if (byte === SPACE || byte === 0) break;
    const digit = byte - DIGIT_0;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

function decodeBase256(block: Uint8Array, at: number, size: number): number | undefined {
  const first = block[at] ?? 0;
  const isNegative = (first & 0x40) !== 0;
  let value = isNegative ? (first & 0x7f) - 0x80 : first & 0x7f;
  for (let i = at + 1; i < at + size; i += 1) value = value * 256 + (block[i] ?? 0);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** The largest number that an octal field of `size` bytes holds beside its closing NUL. */
export function maxOctal(size: number): number {
  return 8 ** (size - 1) - 1;
}

/** Writes a number as zero-padded octal digits and a NUL; it must not be above {@linkcode maxOctal}. */
export function encodeOctal(block: Uint8Array, at: number, field: { size: number; value: number }): void {
  let rest = field.value;
  for (let i = at + field.size - 2; i >= at; i -= 1) {
    block[i] = DIGIT_0 + (rest % 8);
    rest = Math.floor(rest / 8);
  }
  block[at + field.size - 1] = 0;
}
