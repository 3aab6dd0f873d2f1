/**
 * Text in tar headers: short, mostly ASCII, ended by a NUL or by its field.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";

/** Text of the bytes from `start` to `end`, as `decodePathText` gives it; quick for plain ASCII. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] ?? 0;
    if (byte >= 0x80) return decodePathText(bytes.subarray(start, end));
    text += ASCII[byte];
  }
  return text;
}

const ASCII = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code));

/** Where the text that begins at `start` ends: at its first NUL, or at `end`. */
export function textEnd(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i] !== 0) i += 1;
  return i;
}

/** Text up to the first NUL of a field. */
export function decodeField(bytes: Uint8Array, field: { at: number; size: number }): string {
  if (bytes[field.at] === 0) return "";
  return decodeText(bytes, field.at, textEnd(bytes, field.at, field.at + field.size));
}
