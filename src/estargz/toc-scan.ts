/**
 * A look at TOC JSON before it is parsed: is it of bounded size in memory, does it mean one thing only, and where can it be
 * cut into parts?
 *
 * `JSON.parse` takes memory before anyone can count, and hides two ambiguities: of two members with one name the last
 * wins, and Go's decoder takes `NAME` for `name`. Both would let two readers see different files under one digest, so
 * in the TOC object and in its entries they are refused. (Names of extended attributes are data, not members: there the
 * last wins, as in every reader.)
 *
 * @module
 */
import { decodeUtf8, encodeUtf8 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { limitExceeded } from "./limits.ts";

/** The members of the TOC object and of its entries that mean something. At most 31: a bit each. */
export const KNOWN_MEMBERS: readonly string[] =
  "version entries name type size modtime linkName mode uid gid userName groupName offset endOffset innerOffset devMajor devMinor xattrs digest chunkOffset chunkSize chunkDigest chunkType tarSplitDigest".split(
    " ",
  );
const LOWER_CASE_MEMBERS = new Set(KNOWN_MEMBERS.map((name) => name.toLowerCase()));

interface KnownMember {
  readonly bytes: Uint8Array;
  readonly bit: number;
}
/** Known members by the length of their name. */
const MEMBERS_BY_LENGTH: readonly (readonly KnownMember[])[] = Array.from({ length: 16 }, (_, length) =>
  KNOWN_MEMBERS.flatMap((name, i) =>
    name.length === length ? [{ bytes: encodeUtf8(name), bit: 1 << i }] : [],
  ),
);

const MAX_NESTING = 32;
/** Objects and arrays per entry: itself, its attributes, and some for members that we do not know. */
export const CONTAINERS_PER_ENTRY: number = 4;
/** Commas per entry. */
export const COMMAS_PER_ENTRY: number = 24;
const TOC_NESTING = 1;
const LIST_NESTING = 2;
const ENTRY_NESTING = 3;

/** Bytes of JSON, about, that are parsed at once: what they become is still in V8's nursery when it is done with. */
export const PART_SIZE: number = 32 * 1024;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const ENTRIES = encodeUtf8("entries");

/** The list of the TOC object's member `entries`. */
export interface EntryList {
  /** The offset of its opening bracket. */
  readonly start: number;
  /** The offset of its closing bracket; of JSON that breaks off, its end. */
  readonly end: number;
  /** The offsets of some commas between entries: where each part but the last ends. */
  readonly cuts: readonly number[];
  /** Objects and arrays in the whole JSON. */
  readonly containers: number;
  /** Commas in the whole JSON. */
  readonly commas: number;
}

/**
 * Scans TOC JSON. Returns where its list of entries is; undefined if there is no list of that name.
 *
 * Whether it is JSON at all, only parsing tells: then the offsets are somewhere in it.
 *
 * @throws {EsgzError} `TOC_INVALID` for a member that is there twice, or in another case than its own, or with escapes
 * in its name; `LIMIT_EXCEEDED` for more values than `maxEntries` entries can have.
 */
export function scanTocJson(
  json: Uint8Array,
  limits: { readonly maxEntries: number },
): EntryList | undefined {
  const maxContainers = limits.maxEntries * CONTAINERS_PER_ENTRY + 64;
  const maxCommas = limits.maxEntries * COMMAS_PER_ENTRY + 64;
  const seen = new Uint32Array(MAX_NESTING + 1);
  let nesting = 0;
  let containers = 0;
  let commas = 0;
  let listed = 0;
  const list = new EntryListFinder();
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === QUOTE) {
      const end = endOfString(json, at + 1);
      const isMember = (nesting === ENTRY_NESTING || nesting === TOC_NESTING) && isFollowedByColon(json, end);
      if (isMember) {
        seen[nesting] = withMember(json, { start: at + 1, end, seen: seen[nesting] ?? 0 });
        if (nesting === TOC_NESTING) list.enterMember(isName(json, { start: at + 1, end }, ENTRIES));
      }
      at = end;
    } else if (byte === COMMA) {
      commas += 1;
      if (nesting === LIST_NESTING) {
        listed += 1;
        list.comma(at);
      }
    } else if (byte === 0x7b || byte === 0x5b) {
      nesting += 1;
      containers += 1;
      if (nesting > MAX_NESTING) throw limitExceeded("TOC nesting", MAX_NESTING, nesting);
      seen[nesting] = 0;
      if (nesting === LIST_NESTING && byte === OPEN_BRACKET) list.open(at);
    } else if (byte === 0x7d || byte === 0x5d) {
      if (nesting === LIST_NESTING) list.close(at);
      nesting = Math.max(0, nesting - 1);
    }
  }
  if (listed > limits.maxEntries) throw limitExceeded("TOC entries", limits.maxEntries, listed);
  if (containers > maxContainers) throw limitExceeded("TOC objects", maxContainers, containers);
  if (commas > maxCommas) throw limitExceeded("TOC values", maxCommas, commas);
  return list.found(json.length, { containers, commas });
}

/** Told of all that lies directly in the TOC object and in its lists, in order. */
class EntryListFinder {
  readonly #cuts: number[] = [];
  #isEntries = false;
  #start: number | undefined;
  #end: number | undefined;
  #cut = 0;

  enterMember(isEntries: boolean): void {
    this.#isEntries = isEntries;
  }

  open(at: number): void {
    if (this.#isEntries) this.#start ??= this.#cut = at;
  }

  comma(at: number): void {
    if (this.#start === undefined || this.#end !== undefined || at - this.#cut < PART_SIZE) return;
    this.#cuts.push(at);
    this.#cut = at;
  }

  close(at: number): void {
    if (this.#start !== undefined) this.#end ??= at;
  }

  found(size: number, counts: Pick<EntryList, "containers" | "commas">): EntryList | undefined {
    if (this.#start === undefined) return undefined;
    return { start: this.#start, end: this.#end ?? size, cuts: this.#cuts, ...counts };
  }
}

/** The index of the closing quote, or the end of the bytes. */
function endOfString(json: Uint8Array, start: number): number {
  let at = start;
  while (at < json.length && json[at] !== QUOTE) at += json[at] === BACKSLASH ? 2 : 1;
  return at;
}

function isFollowedByColon(json: Uint8Array, quoteAt: number): boolean {
  let at = quoteAt + 1;
  while (json[at] === 0x20 || json[at] === 0x09 || json[at] === 0x0a || json[at] === 0x0d) at += 1;
  return json[at] === COLON;
}

/** The set with one member more. */
function withMember(json: Uint8Array, name: { start: number; end: number; seen: number }): number {
  const bit = bitOf(json, name.start, name.end);
  if ((name.seen & bit) === 0) return name.seen | bit;
  throw invalid(`one member "${decodeUtf8(json.subarray(name.start, name.end))}"`, "two");
}

function bitOf(json: Uint8Array, start: number, end: number): number {
  for (const known of MEMBERS_BY_LENGTH[end - start] ?? []) {
    if (isAt(json, start, known.bytes)) return known.bit;
  }
  const name = json.subarray(start, end);
  // A byte order mark in front of it makes it another name: a decoder would leave it out.
  const text = Buffer.from(json.buffer, json.byteOffset + start, Math.min(64, end - start)).toString();
  if (name.includes(BACKSLASH)) throw invalid("member names without escapes", JSON.stringify(text));
  if (LOWER_CASE_MEMBERS.has(text.toLowerCase())) {
    throw invalid("member names in their own case", JSON.stringify(text));
  }
  return 0;
}

/** Whether a member's name means nothing to any reader, and is written without escapes. */
export function isForeignMember(name: string): boolean {
  return !LOWER_CASE_MEMBERS.has(name.toLowerCase()) && JSON.stringify(name).length === name.length + 2;
}

function isName(json: Uint8Array, { start, end }: { start: number; end: number }, name: Uint8Array): boolean {
  return end - start === name.length && isAt(json, start, name);
}

function isAt(json: Uint8Array, start: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i += 1) if (json[start + i] !== text[i]) return false;
  return true;
}

function invalid(expected: string, found: string): EsgzError {
  return new EsgzError("TOC_INVALID", `Cannot read TOC: expected ${expected}, got ${found}`);
}
