/**
 * Quoted strings as Go writes them, which clients put into filters.
 *
 * | escape               | stands for                            |
 * | -------------------- | ------------------------------------- |
 * | `\a \b \f \n \r \t \v` | bytes 7, 8, 12, 10, 13, 9, 11         |
 * | `\\`, the quote       | themselves                            |
 * | `\ooo`, `\xhh`       | one byte, three octal or two hex digits |
 * | `\uhhhh`, `\Uhhhhhhhh` | one character                         |
 *
 * Source: The Go programming language specification, "String literals".
 *
 * @module
 */

const SIMPLE: Readonly<Record<string, number>> = {
  a: 7,
  b: 8,
  f: 12,
  n: 10,
  r: 13,
  t: 9,
  v: 11,
  "\\": 92,
  '"': 34,
  "/": 47,
  "|": 124,
};

/** What may stand around a string: Go's own, and those that filters have for patterns. */
export type Quote = '"' | "/" | "|";

const QUOTED: Readonly<Record<Quote, RegExp>> = {
  '"': /"(?:[^"\\\n]|\\.)*"/sy,
  "/": /\/(?:[^/\\\n]|\\.)*\//sy,
  "|": /\|(?:[^|\\\n]|\\.)*\|/sy,
};
const PIECE =
  /\\([abfnrtv\\"/|])|\\x([0-9a-fA-F]{2})|\\([0-3][0-7]{2})|\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})|([^\\]+)|(\\)/gsu;
const MAX_CODE_POINT = 0x10ffff;

/** The string in one of these quotes at a place of a text, quotes included; undefined if none begins and ends there. */
export function quotedAt(
  text: string,
  offset: number,
  { quotes }: { readonly quotes: readonly Quote[] },
): string | undefined {
  const quote = quotes.find((one) => text[offset] === one);
  if (quote === undefined) return undefined;
  const pattern = QUOTED[quote];
  pattern.lastIndex = offset;
  return pattern.exec(text)?.[0];
}

/** What a quoted string (with its quotes) means; undefined for an escape that Go does not know. */
export function unquoteGo(quoted: string): string | undefined {
  const parts: Uint8Array[] = [];
  for (const match of quoted.slice(1, -1).matchAll(PIECE)) {
    const [, simple = ""] = match;
    const isOtherQuote = simple !== quoted[0] && /["/|]/.test(simple);
    const bytes = isOtherQuote ? undefined : bytesOf(match);
    if (bytes === undefined) return undefined;
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString("utf8");
}

function bytesOf(match: RegExpExecArray): Uint8Array | undefined {
  const [, simple, hex, octal, short, long, plain] = match;
  if (plain !== undefined) return Buffer.from(plain);
  if (simple !== undefined) return Uint8Array.of(SIMPLE[simple] ?? 0);
  if (hex !== undefined) return Uint8Array.of(Number.parseInt(hex, 16));
  if (octal !== undefined) return Uint8Array.of(Number.parseInt(octal, 8));
  const digits = short ?? long;
  const codePoint = digits === undefined ? Number.NaN : Number.parseInt(digits, 16);
  const isCharacter = codePoint <= MAX_CODE_POINT && !(codePoint >= 0xd800 && codePoint < 0xe000);
  return isCharacter ? Buffer.from(String.fromCodePoint(codePoint)) : undefined;
}
