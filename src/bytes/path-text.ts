/**
 * File names as text without loss.
 *
 * Linux names are bytes, most of them UTF-8. Each byte that is not part of valid UTF-8 becomes the lone
 * surrogate U+DC80 + (byte - 0x80), the convention of Python's `surrogateescape`, so every name is a string
 * (usable as a map key) and goes back to the same bytes.
 *
 * @module
 */

const STRICT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const ENCODER = new TextEncoder();
const ESCAPE_BASE = 0xdc00;
const ESCAPE = /[\udc80-\udcff]/u;

/** Decodes name bytes to text; bytes that are not UTF-8 become lone surrogates. */
export function decodePathText(bytes: Uint8Array): string {
  try {
    return STRICT.decode(bytes);
  } catch {
    return decodeEscaped(bytes);
  }
}

/** Encodes text of {@linkcode decodePathText} back to the same bytes. */
export function encodePathText(text: string): Uint8Array {
  if (!ESCAPE.test(text)) return ENCODER.encode(text);
  const parts: number[] = [];
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0;
    if (point >= ESCAPE_BASE + 0x80 && point <= ESCAPE_BASE + 0xff) parts.push(point - ESCAPE_BASE);
    else parts.push(...ENCODER.encode(character));
  }
  return Uint8Array.from(parts);
}

/** Whether text holds bytes that were not UTF-8. */
export function hasEscapedBytes(text: string): boolean {
  return ESCAPE.test(text);
}

function decodeEscaped(bytes: Uint8Array): string {
  let text = "";
  let runStart = 0;
  for (let i = 0; i < bytes.length;) {
    const length = sequenceLength(bytes, i);
    if (length === 0) {
      if (i > runStart) text += STRICT.decode(bytes.subarray(runStart, i));
      text += String.fromCharCode(ESCAPE_BASE + (bytes[i] ?? 0));
      runStart = i + 1;
    }
    i += length || 1;
  }
  return text + STRICT.decode(bytes.subarray(runStart));
}

/**
 * The length of the valid UTF-8 sequence at `at`, or 0 (Unicode, table 3-7). Not by trying to decode it: a throw for each
 * byte makes foreign names a thousand times slower.
 */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  const second = bytes[at + 1] ?? 0;
  if (second < (SECOND_MIN[lead] ?? 0x80) || second > (SECOND_MAX[lead] ?? 0xbf)) return 0;
  for (let i = at + 2; i < at + length; i += 1) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** The leads whose second byte has a narrower range than 0x80 to 0xbf: no overlong forms, surrogates, or numbers too high. */
const SECOND_MIN: Readonly<Record<number, number>> = { 0xe0: 0xa0, 0xf0: 0x90 };
const SECOND_MAX: Readonly<Record<number, number>> = { 0xed: 0x9f, 0xf4: 0x8f };
