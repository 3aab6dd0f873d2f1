/**
 * The entries of TOC JSON, parsed part by part: text and objects of 100,000 entries would take 100 MB and more while they
 * are side by side.
 *
 * ```text
 * {"version":1,"entries":[ {...},{...},{...} , {...},{...} , {...} ]}
 * |------- frame --------| |---- part -----|   |- part --|   part |frame|
 * ```
 *
 * Frame and parts are JSON, each by itself, if and only if the whole is.
 *
 * @module
 */
import { decodeUtf8 } from "../bytes/index.ts";
import { limitExceeded } from "./limits.ts";
import { invalidToc, quote } from "./toc-fields.ts";
import { type EntryList, scanTocJson } from "./toc-scan.ts";

/**
 * The values in the list of entries, in order, in parts that are parsed as they are asked for. The rest of the JSON is
 * parsed before the first of them.
 *
 * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
 */
export function* parseTocEntries(
  json: Uint8Array,
  limits: { readonly maxEntries: number; readonly maxTocBytes: number },
): Generator<readonly unknown[], void, undefined> {
  const { maxEntries, maxTocBytes } = limits;
  if (json.length > maxTocBytes) throw limitExceeded("TOC bytes", maxTocBytes, json.length);
  const list = scanTocJson(json, limits);
  checkFrame(json, list);
  if (list === undefined) return;
  let count = 0;
  let start = list.start;
  for (const end of [...list.cuts, list.end]) {
    const part = parsePart(json, start, end);
    count += part.length;
    if (count > maxEntries) throw limitExceeded("TOC entries", maxEntries, count);
    // Where there is a comma, there is something on both sides of it.
    if (part.length === 0 && list.cuts.length > 0) throw invalidToc(undefined, "JSON", "a comma too many");
    yield part;
    start = end;
  }
}

/** Parses all but what is in the list. */
function checkFrame(json: Uint8Array, list: EntryList | undefined): void {
  const frame =
    list === undefined
      ? decodeUtf8(json)
      : `${decodeUtf8(json.subarray(0, list.start))}[${Buffer.from(json.buffer, json.byteOffset + list.end, json.length - list.end).toString()}`;
  const toc = parseJson(frame);
  if (typeof toc !== "object" || toc === null) throw invalidToc(undefined, "an object", quote(toc));
  const entries: unknown = "entries" in toc ? toc.entries : undefined;
  if (entries === undefined || entries === null || Array.isArray(entries)) return;
  throw invalidToc(undefined, "entries to be a list", quote(entries));
}

/** The values between two offsets, of the bracket or comma in front of them and of that behind them. */
function parsePart(json: Uint8Array, start: number, end: number): readonly unknown[] {
  // Decoded with its first byte, lest a byte order mark behind that be taken for one of the text.
  const text = decodeUtf8(json.subarray(start, end)).slice(1);
  const values = parseJson(`[${text}]`);
  return Array.isArray(values) ? values : [];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalidToc(undefined, "JSON", error instanceof Error ? error.message : "other text");
  }
}
