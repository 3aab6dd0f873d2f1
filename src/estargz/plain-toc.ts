/**
 * TOC JSON in the plain form in which encoders write it, read in parts by what is native code: `JSON.parse` and
 * `JSON.stringify`.
 *
 * ```text
 * {"version":1,"entries":[{...},{...},{...},{...},{...},{...}],"tarSplitDigest":"..."}
 * |-------- head --------||--- part --|,|--- part --|,|------------- end -----------|
 * ```
 *
 * A part is cut where something looks like the end of an entry, and framed as a TOC of its own. It is plain if it is
 * exactly what its value is written as. Then
 *
 * - the cut was at the end of an entry: anywhere else the frame would not close what is open;
 * - no member is there twice, and no name has escapes that it does not need: neither would be written so;
 * - what it holds can be counted in the value.
 *
 * Everything else (and everything wrong) is for the careful reader, which looks at each byte: see `toc-json.ts`.
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import {
  COMMAS_PER_ENTRY,
  CONTAINERS_PER_ENTRY,
  isForeignMember,
  KNOWN_MEMBERS,
  PART_SIZE,
  scanTocJson,
} from "./toc-scan.ts";

/** How an encoder writes: all in one line, or as Go indents. */
interface Style {
  readonly indent: string;
  /** What the head ends with. */
  readonly open: string;
  /** What stands in front of the list of entries in a TOC of nothing else. */
  readonly start: string;
  /** What stands between the last entry and the end in such a TOC. */
  readonly end: string;
  /** What closes the head when there are no entries. */
  readonly close: string;
  /** From the end of an entry to the start of the next; the comma is at `comma`. */
  readonly between: string;
  readonly comma: number;
}

const COMPACT: Style = {
  indent: "",
  open: '"entries":[',
  start: '{"entries":[',
  end: "]}",
  close: "]}",
  between: "},{",
  comma: 1,
};
const INDENTED: Style = {
  indent: "\t",
  open: '"entries": [',
  start: '{\n\t"entries": [',
  end: "\n\t]\n}",
  close: "]\n}",
  between: "\n\t\t},\n\t\t{",
  comma: 4,
};

/** The list of entries begins within so many bytes. */
const MAX_HEAD = 1024;
/** A part without an end in so many bytes is not plain. */
const MAX_PART_SIZE = 4 * PART_SIZE;
const NEWLINE = 0x0a;
const KNOWN = new Set(KNOWN_MEMBERS);

type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The entries, in parts, in order; undefined in the place of the first part that is not plain, and nothing behind it.
 *
 * @throws {SyntaxError} if a part is no JSON; {@linkcode scanTocJson}'s errors.
 */
export function* parsePlainToc(
  json: Uint8Array,
  limits: { readonly maxEntries: number },
): Generator<readonly unknown[] | undefined, void, undefined> {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.length);
  const style = bytes[1] === NEWLINE ? INDENTED : COMPACT;
  const counts = new TocCounts(limits.maxEntries);
  const head = readHead(bytes, style);
  if (head === undefined) return yield undefined;
  let at = head.size;
  let isLast = false;
  while (!isLast) {
    const end = endOfPart(bytes, at, style);
    if (end - at > MAX_PART_SIZE) return yield undefined;
    isLast = end === bytes.length;
    const others = isLast ? head.others : undefined;
    const part = readPart(bytes, { at, end, style, others, limits });
    if (part === undefined || !counts.add(part)) return yield undefined;
    yield part.entries;
    at = end + 1;
  }
}

interface Head {
  /** The offset behind the bracket that opens the list. */
  readonly size: number;
  /** Its members beside the list. */
  readonly others: readonly string[];
}

function readHead(bytes: Buffer, style: Style): Head | undefined {
  const openAt = bytes.subarray(0, MAX_HEAD).indexOf(style.open);
  if (openAt < 0) return undefined;
  const size = openAt + style.open.length;
  const text = decodeUtf8(bytes.subarray(0, size)) + style.close;
  const toc = parseObject(text);
  if (toc === undefined || !isPlain(toc, text, style)) return undefined;
  const others = othersOf(toc);
  return others?.every((name) => KNOWN.has(name)) === true ? { size, others } : undefined;
}

interface PartOptions {
  readonly at: number;
  readonly end: number;
  readonly style: Style;
  /** Of the last part, the members that the head has. */
  readonly others: readonly string[] | undefined;
  readonly limits: { readonly maxEntries: number };
}

function readPart(bytes: Buffer, options: PartOptions): TocPart | undefined {
  const text = frame(bytes, options);
  const toc = parseObject(text);
  const entries = toc?.["entries"];
  if (toc === undefined || !Array.isArray(entries)) return undefined;
  const others = othersOf(toc);
  const isExpected = (name: string): boolean => KNOWN.has(name) && options.others?.includes(name) === false;
  if (others?.every(isExpected) !== true) return undefined;
  const plain = isPlain(toc, text, options.style) ? countPlain(entries) : undefined;
  if (plain !== undefined) return plain;
  // Usually a name that the encoder wrote with escapes.
  const scanned = scanTocJson(encodeUtf8(text), options.limits);
  return scanned === undefined ? undefined : { ...scanned, entries };
}

/** A TOC of the entries in a part; of the last part, with what stands behind the list. */
function frame(bytes: Buffer, { at, end, style, others }: PartOptions): string {
  // Decoded with the byte in front, lest a byte order mark behind that be taken for one of the text.
  const text = style.start + decodeUtf8(bytes.subarray(at - 1, end)).slice(1);
  if (others === undefined) return text + style.end;
  return text.endsWith("\n") ? text.slice(0, -1) : text;
}

/** Where the comma is that ends the part, or the end of the JSON. */
function endOfPart(bytes: Buffer, at: number, { between, comma }: Style): number {
  const found = bytes.length - at < 2 * PART_SIZE ? -1 : bytes.indexOf(between, at + PART_SIZE, "latin1");
  return found < 0 ? bytes.length : found + comma;
}

function parseObject(text: string): JsonObject | undefined {
  const value: unknown = JSON.parse(text);
  return typeof value === "object" && value !== null ? (value as JsonObject) : undefined;
}

/** Whether a text is what its value is written as. */
function isPlain(value: JsonObject, text: string, { indent }: Style): boolean {
  return JSON.stringify(value, undefined, indent) === text;
}

/** The members of a TOC beside its entries; undefined if one of them holds others. */
function othersOf(toc: JsonObject): readonly string[] | undefined {
  const others = Object.keys(toc).filter((name) => name !== "entries");
  return others.some((name) => isContainer(toc[name])) ? undefined : others;
}

function isContainer(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null;
}

/** Counts what plain entries hold; undefined if they hold more than fields, attributes and values that we do not know. */
function countPlain(entries: readonly unknown[]): TocPart | undefined {
  let containers = 0;
  let commas = 0;
  for (const entry of entries) {
    if (!isContainer(entry) || Array.isArray(entry)) return undefined;
    containers += 1;
    for (const name in entry) {
      commas += 1;
      if (!KNOWN.has(name) && !isForeignMember(name)) return undefined;
      const value = entry[name];
      if (!isContainer(value)) continue;
      if (name !== "xattrs" || Array.isArray(value)) return undefined;
      const values = Object.values(value);
      if (values.some(isContainer)) return undefined;
      containers += 1;
      commas += values.length;
    }
  }
  return { entries, containers, commas };
}

interface TocPart {
  readonly entries: readonly unknown[];
  readonly containers: number;
  /** At least the commas in the JSON. */
  readonly commas: number;
}

/** Sums what parts hold, and tells when the careful reader may have to refuse it. */
class TocCounts {
  readonly #maxEntries: number;
  #entries = 0;
  #containers = 0;
  #commas = 0;

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries;
  }

  /** Whether the parts are within all limits so far. */
  add({ entries, containers, commas }: TocPart): boolean {
    this.#entries += entries.length;
    this.#containers += containers;
    this.#commas += commas;
    return (
      this.#entries <= this.#maxEntries &&
      this.#containers <= this.#maxEntries * CONTAINERS_PER_ENTRY &&
      this.#commas <= this.#maxEntries * COMMAS_PER_ENTRY
    );
  }
}
