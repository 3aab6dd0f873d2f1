/**
 * What PAX records say about an entry.
 *
 * | key                        | meaning                                                                    |
 * | -------------------------- | -------------------------------------------------------------------------- |
 * | path, linkpath             | names, raw bytes                                                           |
 * | size, uid, gid             | decimal numbers                                                            |
 * | uname, gname, mtime        | texts, decimal seconds                                                     |
 * | SCHILY.xattr.NAME          | raw value; in NAME, GNU tar writes `=` as `%3D` and `%` as `%25`             |
 * | LIBARCHIVE.xattr.NAME      | base64 value, percent-encoded name; a SCHILY.xattr of that name goes before  |
 * | GNU.sparse.*               | sparse-map.ts                                                              |
 *
 * A local record overrides a global one; an empty value of any key but an xattr's takes the key back. All other keys
 * (atime, ctime, comment, ...) say nothing that an image keeps.
 *
 * @module
 */
import { decodeBase64, decodePathText, decodeUtf8 } from "../bytes/index.ts";
import { decodeText } from "./header-text.ts";
import type { PaxRecord } from "./pax-record.ts";
import { decodePaxTime } from "./pax-time.ts";
import { checkLimit, invalidTar } from "./tar-error.ts";
import type { Timestamp } from "./tar-entry.ts";
import type { TarLimits } from "./tar-limits.ts";

const SCHILY = "SCHILY.xattr.";
const LIBARCHIVE = "LIBARCHIVE.xattr.";
const SPARSE = "GNU.sparse.";
const PLAIN_KEYS: ReadonlySet<string> = new Set([
  "path",
  "linkpath",
  "size",
  "uid",
  "gid",
  "uname",
  "gname",
  "mtime",
]);
const DECIMAL = /^\d{1,16}$/u;
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** Records in effect, by key; of several with one key the last. Only keys of the table above are kept. */
export type PaxAttributes = Map<string, Uint8Array>;

/** Whether a record with this key can change an entry. */
function isPaxAttribute(key: string): boolean {
  return (
    PLAIN_KEYS.has(key) || key.startsWith(SCHILY) || key.startsWith(LIBARCHIVE) || key.startsWith(SPARSE)
  );
}

/** Puts records over those in effect. An empty value stays, as a mark that hides what lies below. */
export function applyPaxRecords(attributes: PaxAttributes, records: readonly PaxRecord[]): void {
  for (const { key, value } of records) if (isPaxAttribute(key)) attributes.set(key, value);
}

/**
 * Puts the records of a global header over those in effect, with values copied out of the header.
 *
 * @throws LIMIT_EXCEEDED when what is then in effect has more bytes than `limit`.
 */
export function applyGlobalRecords(
  attributes: PaxAttributes,
  records: readonly PaxRecord[],
  bounds: { limit: number; offset: number },
): void {
  for (const { key, value } of records) if (isPaxAttribute(key)) attributes.set(key, value.slice());
  let amount = 0;
  for (const [key, value] of attributes) amount += key.length + value.length;
  checkLimit(amount, { ...bounds, what: "global PAX records" });
}

/** A value as text without NUL. @throws TAR_INVALID */
export function paxText(attributes: PaxAttributes, key: string, offset: number): string | undefined {
  const value = attributes.get(key);
  if (value === undefined || value.length === 0) return undefined;
  if (value.includes(0)) throw invalidTar(`PAX record "${key}"`, offset, "expected text, got a NUL in it");
  return decodeText(value, 0, value.length);
}

/** A value as a name. @throws TAR_INVALID, LIMIT_EXCEEDED */
export function paxPath(
  attributes: PaxAttributes,
  key: string,
  context: { offset: number; limits: TarLimits },
): string | undefined {
  const { offset, limits } = context;
  const size = attributes.get(key)?.length ?? 0;
  checkLimit(size, { limit: limits.maxPathBytes, what: `PAX record "${key}"`, offset });
  return paxText(attributes, key, offset);
}

/** A value as a number of 0 or more. @throws TAR_INVALID */
export function paxNumber(attributes: PaxAttributes, key: string, offset: number): number | undefined {
  const text = paxText(attributes, key, offset);
  if (text === undefined) return undefined;
  const number = DECIMAL.test(text) ? Number(text) : NaN;
  if (Number.isSafeInteger(number)) return number;
  throw invalidTar(`PAX record "${key}"`, offset, `expected a whole number below 2^53, got ${quote(text)}`);
}

/** The record `mtime`. @throws TAR_INVALID */
export function paxMtime(attributes: PaxAttributes, offset: number): Timestamp | undefined {
  const text = paxText(attributes, "mtime", offset);
  if (text === undefined) return undefined;
  const time = decodePaxTime(text);
  if (time === undefined)
    throw invalidTar('PAX record "mtime"', offset, `expected decimal seconds, got ${quote(text)}`);
  return time;
}

/** The extended attributes among the records. @throws TAR_INVALID */
export function paxXattrs(attributes: PaxAttributes, offset: number): ReadonlyMap<string, Uint8Array> {
  const plain = new Map<string, Uint8Array>();
  const encoded = new Map<string, Uint8Array>();
  for (const [key, value] of attributes) {
    if (key.startsWith(SCHILY)) plain.set(decodeXattrName(key.slice(SCHILY.length)), value);
    else if (key.startsWith(LIBARCHIVE)) {
      const decoded = decodeXattrValue(value);
      if (decoded === undefined)
        throw invalidTar(`PAX record ${quote(key)}`, offset, "expected base64, got other bytes");
      encoded.set(decodePercent(key.slice(LIBARCHIVE.length)), decoded);
    }
  }
  if (plain.size + encoded.size === 0) return NO_XATTRS;
  for (const [name, value] of encoded) if (!plain.has(name)) plain.set(name, value);
  return plain;
}

/**
 * The PAX key of an extended attribute. A `%` is escaped only where GNU tar would take it for an escape: Go's archive/tar
 * knows no escapes, and so both read the same name.
 */
export function xattrKey(name: string): string {
  return SCHILY + name.replaceAll(/%(?=25|3D)/gu, "%25").replaceAll("=", "%3D");
}

function decodeXattrName(name: string): string {
  return name.replaceAll("%3D", "=").replaceAll("%25", "%");
}

function decodePercent(name: string): string {
  if (!name.includes("%")) return name;
  const bytes: number[] = [];
  const source = new TextEncoder().encode(name);
  for (let i = 0; i < source.length; i += 1) {
    const hex = decodeUtf8(source.subarray(i + 1, i + 3));
    const isEscape = source[i] === 0x25 && /^[0-9A-Fa-f]{2}$/u.test(hex);
    bytes.push(isEscape ? parseInt(hex, 16) : (source[i] ?? 0));
    if (isEscape) i += 2;
  }
  return decodePathText(Uint8Array.from(bytes));
}

function decodeXattrValue(value: Uint8Array): Uint8Array | undefined {
  try {
    return decodeBase64(decodeUtf8(value));
  } catch {
    return undefined;
  }
}

/** Foreign text in a message: quoted, and not longer than a line. */
function quote(text: string): string {
  return JSON.stringify(text.length <= 60 ? text : `${text.slice(0, 60)}...`);
}
