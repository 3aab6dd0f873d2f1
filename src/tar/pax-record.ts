/**
 * The records of a PAX extended header (POSIX.1-2017, pax, "pax Extended Header").
 *
 * | part   | bytes                                                            |
 * | ------ | ---------------------------------------------------------------- |
 * | length | decimal digits: the bytes of the whole record, of these digits too |
 * | space  | 1                                                                |
 * | key    | at least 1, without `=`                                          |
 * | `=`    | 1                                                                |
 * | value  | any bytes                                                        |
 * | newline| 1                                                                |
 *
 * @module
 */
import { encodePathText } from "../bytes/index.ts";
import { decodeText } from "./header-text.ts";
import { invalidTar } from "./tar-error.ts";

const SPACE = 0x20;
const NEWLINE = 0x0a;
const EQUALS = 0x3d;

/** A record: what it is about, and its bytes. */
export interface PaxRecord {
  /** Text of `decodePathText`. */
  readonly key: string;
  /** A view into the header that was decoded. */
  readonly value: Uint8Array;
}

/**
 * Decodes the records of a PAX header that lies at `offset` of the tar, in their order.
 *
 * @throws TAR_INVALID when they are not records from the first byte to the last.
 */
export function decodePaxRecords(bytes: Uint8Array, offset: number): readonly PaxRecord[] {
  const records: PaxRecord[] = [];
  for (let at = 0; at < bytes.length;) {
    const space = indexOf(bytes, SPACE, at);
    const length = decodeLength(bytes, at, space);
    if (length === undefined)
      throw invalidTar("PAX record", offset + at, "expected a decimal length, got other bytes");
    records.push(
      decodeRecord(bytes.subarray(space + 1, at + length), {
        offset: offset + at,
        size: at + length - space - 1,
      }),
    );
    at += length;
  }
  return records;
}

/** Where a byte is, or the end. Keys and lengths are short: a loop is quicker than the built-in search. */
function indexOf(bytes: Uint8Array, wanted: number, start: number): number {
  let i = start;
  while (i < bytes.length && bytes[i] !== wanted) i += 1;
  return i;
}

function decodeLength(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (start === end || end - start > 10) return undefined;
  let length = 0;
  for (let i = start; i < end; i += 1) {
    const digit = (bytes[i] ?? 0) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    length = length * 10 + digit;
  }
  return length;
}

/** Decodes `key=value\n`; `size` is the length it should have. */
function decodeRecord(body: Uint8Array, place: { offset: number; size: number }): PaxRecord {
  const { offset, size } = place;
  if (size < 3 || body.length !== size)
    throw invalidTar("PAX record", offset, "expected its length to lie in the header");
  if (body[size - 1] !== NEWLINE) throw invalidTar("PAX record", offset, "expected a newline at its end");
  const equals = indexOf(body, EQUALS, 0);
  if (equals < 1 || equals === size) throw invalidTar("PAX record", offset, "expected key=value");
  return { key: decodeText(body, 0, equals), value: body.subarray(equals + 1, size - 1) };
}

/** Encodes records in the order given. */
export function encodePaxRecords(records: readonly PaxRecord[]): Uint8Array {
  const parts = records.map((record) => ({ key: encodePathText(record.key), value: record.value }));
  const sizes = parts.map(({ key, value }) => recordSize(key.length + value.length + 3));
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const [index, { key, value }] of parts.entries()) {
    const size = sizes[index] ?? 0;
    at = put(bytes, at, encodePathText(`${size} `));
    at = put(bytes, at, key);
    at = put(bytes, at, Uint8Array.of(EQUALS));
    at = put(bytes, at, value);
    at = put(bytes, at, Uint8Array.of(NEWLINE));
  }
  return bytes;
}

/** The record's length: `rest` (all but the digits) and as many digits as the sum itself has. */
function recordSize(rest: number): number {
  const size = rest + String(rest).length;
  return rest + String(size).length;
}

function put(bytes: Uint8Array, at: number, part: Uint8Array): number {
  bytes.set(part, at);
  return at + part.length;
}
