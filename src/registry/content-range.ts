/**
 * Byte ranges in headers: `Range` of a request, `Content-Range` of an answer, `Range` of an upload session.
 *
 * | header          | form                                   |
 * | --------------- | -------------------------------------- |
 * | `Range`         | `bytes=<first>-<last>`                 |
 * | `Content-Range` | `bytes <first>-<last>/<size or *>`     |
 * | upload `Range`  | `[bytes=]0-<last>`, inclusive          |
 * | upload PATCH    | `Content-Range: <first>-<last>`        |
 *
 * Source: RFC 9110, section 14; OCI distribution specification 1.1, "Pushing a blob in chunks".
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";

/** A parsed `Content-Range` of a partial answer. */
export interface ContentRange extends ByteRange {
  /** The size of the whole; undefined where the server sent `*`. */
  readonly total: number | undefined;
}

/** The `Range` header's value for a range of at least one byte. */
export function encodeRangeHeader(range: ByteRange): string {
  return `bytes=${range.offset}-${range.offset + range.size - 1}`;
}

/** Parses `Content-Range`; undefined for anything but one satisfiable, consistent byte range. */
export function parseContentRange(text: string | undefined): ContentRange | undefined {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(text?.trim() ?? "");
  if (match === null) return undefined;
  const [first, last] = [Number(match[1]), Number(match[2])];
  const total = match[3] === "*" ? undefined : Number(match[3]);
  const numbers = [first, last + 1, total ?? 0];
  if (!numbers.every(Number.isSafeInteger) || last < first) return undefined;
  if (total !== undefined && last >= total) return undefined;
  return { offset: first, size: last - first + 1, total };
}

/**
 * The number of bytes that an upload session has, from its `Range` header. A missing header counts as none;
 * undefined for text that is no such range.
 */
export function parseUploadRange(text: string | undefined): number | undefined {
  if (text === undefined || text.trim() === "") return 0;
  const match = /^(?:bytes=)?0-(-?\d{1,16})$/i.exec(text.trim());
  const last = Number(match?.[1] ?? Number.NaN);
  // "0-0" is what the distribution project sends for an empty session; one byte alone is never a chunk of ours.
  if (last === 0 || last === -1) return 0;
  return Number.isSafeInteger(last + 1) && last > 0 ? last + 1 : undefined;
}

/** A `Content-Length`, or undefined where it is missing or no number. */
export function parseContentLength(text: string | undefined): number | undefined {
  const size = /^\d{1,16}$/.test(text?.trim() ?? "") ? Number(text) : Number.NaN;
  return Number.isSafeInteger(size) ? size : undefined;
}
