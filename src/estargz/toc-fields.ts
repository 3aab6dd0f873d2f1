/**
 * Single fields of a TOC entry, from JSON values that may be anything.
 *
 * Absent, `null` and (for text) `""` mean the same, as they do to Go's decoder.
 *
 * @module
 */
import { decodeBase64 } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { isDigest, type Digest } from "../oci/index.ts";
import type { Timestamp } from "../tar/index.ts";
import { parseRfc3339, UNIX_EPOCH } from "./rfc3339.ts";

/** An entry object of the TOC, with the members that we look at. */
export interface RawEntry {
  readonly name?: unknown;
  readonly type?: unknown;
  readonly size?: unknown;
  readonly modtime?: unknown;
  readonly linkName?: unknown;
  readonly mode?: unknown;
  readonly uid?: unknown;
  readonly gid?: unknown;
  readonly userName?: unknown;
  readonly groupName?: unknown;
  readonly offset?: unknown;
  readonly endOffset?: unknown;
  readonly innerOffset?: unknown;
  readonly devMajor?: unknown;
  readonly devMinor?: unknown;
  readonly xattrs?: unknown;
  readonly digest?: unknown;
  readonly chunkOffset?: unknown;
  readonly chunkSize?: unknown;
  readonly chunkDigest?: unknown;
  readonly chunkType?: unknown;
}

/** Numbers of users and groups, and of devices, are 32 bits wide on Linux. */
export const MAX_UINT32 = 0xffff_ffff;
const SHA256 = "sha256:";
const SHA256_LENGTH = SHA256.length + 64;
/** 0 for the codes of lower-case hexadecimal digits. */
const NO_HEX = Uint8Array.from({ length: 256 }, (_, code) =>
  "0123456789abcdef".includes(String.fromCharCode(code)) ? 0 : 1,
);
const MAX_KNOWN_TIMES = 4096;
/** No extended attributes. */
export const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** The error for a TOC that breaks its format, naming the entry where there is one. */
export function invalidToc(entry: string | undefined, expected: string, found: unknown): EsgzError {
  const what = entry === undefined ? "TOC" : `TOC entry ${quote(entry)}`;
  const text = typeof found === "string" ? found : quote(found);
  return new EsgzError("TOC_INVALID", `Cannot read ${what}: expected ${expected}, got ${text}`);
}

/** A value as text for messages, cut to a readable length. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length <= 120 ? text : `${text.slice(0, 120)}...`;
}

/** A whole number from 0 to `max`; absent is 0. */
export function readNumber(
  raw: RawEntry,
  field: keyof RawEntry,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  const value = raw[field];
  if (value === undefined || value === null) return 0;
  if (typeof value === "number" && value >= 0 && value <= max && Number.isSafeInteger(value))
    return value + 0;
  throw invalidField(raw, field, `a whole number from 0 to ${max}`);
}

/** A text; absent is `""`. */
export function readText(raw: RawEntry, field: keyof RawEntry): string {
  const value = raw[field];
  if (value === undefined || value === null) return "";
  if (typeof value === "string" && !value.includes("\0")) return value;
  throw invalidField(raw, field, "a text without zero bytes");
}

/** A digest; absent and `""` are undefined. */
export function readDigest(raw: RawEntry, field: keyof RawEntry): Digest | undefined {
  const value = raw[field];
  if (value === undefined || value === null || value === "") return undefined;
  if (isSha256(value) || isDigest(value)) return value;
  throw invalidField(raw, field, "a digest");
}

/** The usual digest, told without taking it apart. */
function isSha256(value: unknown): value is Digest {
  if (typeof value !== "string" || value.length !== SHA256_LENGTH || !value.startsWith(SHA256)) return false;
  let wrong = 0;
  for (let at = SHA256.length; at < SHA256_LENGTH; at += 1) wrong |= NO_HEX[value.charCodeAt(at)] ?? 1;
  return wrong === 0;
}

/** Reads modification times; layers have few different ones, so each is parsed once. */
export class ModtimeReader {
  readonly #known = new Map<string, Timestamp>();

  /** The modification time; absent is the epoch. */
  read(raw: RawEntry): Timestamp {
    const value = raw.modtime;
    if (value === undefined || value === null || value === "") return UNIX_EPOCH;
    const known = typeof value === "string" ? this.#known.get(value) : undefined;
    if (known !== undefined) return known;
    const time = typeof value === "string" ? parseRfc3339(value) : undefined;
    if (typeof value !== "string" || time === undefined)
      throw invalidField(raw, "modtime", "an RFC 3339 time");
    if (this.#known.size < MAX_KNOWN_TIMES) this.#known.set(value, time);
    return time;
  }
}

/** Extended attributes: an object of base64 texts. */
export function readXattrs(raw: RawEntry): ReadonlyMap<string, Uint8Array> {
  const value = raw.xattrs;
  if (value === undefined || value === null) return NO_XATTRS;
  if (typeof value !== "object" || Array.isArray(value)) throw invalidField(raw, "xattrs", "an object");
  const xattrs = new Map<string, Uint8Array>();
  for (const [name, text] of Object.entries(value)) {
    const bytes = typeof text === "string" ? bytesOfBase64(text) : undefined;
    if (bytes === undefined || name === "" || name.includes("\0")) {
      throw invalidField(raw, "xattrs", "names with base64 texts");
    }
    xattrs.set(name, bytes);
  }
  return xattrs.size === 0 ? NO_XATTRS : xattrs;
}

function bytesOfBase64(text: string): Uint8Array | undefined {
  try {
    return decodeBase64(text);
  } catch {
    return undefined;
  }
}

function invalidField(raw: RawEntry, field: keyof RawEntry, expected: string): EsgzError {
  return invalidToc(nameOf(raw), `${field} to be ${expected}`, quote(raw[field]));
}

/** The entry's name for messages. */
export function nameOf(raw: RawEntry): string {
  return typeof raw.name === "string" ? raw.name : "";
}
