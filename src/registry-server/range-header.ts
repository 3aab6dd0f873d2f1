/**
 * The `Range` of a download and the `Content-Range` of a chunk.
 *
 * ```
 * Range: bytes=<first>-<last> | bytes=<first>- | bytes=-<length>
 * Content-Range: <first>-<last>              (of the distribution protocol; RFC 9110's form is understood, too)
 * ```
 *
 * Source: RFC 9110, sections 14.1 and 14.2; OCI distribution specification 1.1, "Pushing a blob in chunks".
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import { RegistryProblem } from "./registry-problem.ts";
import type { ChunkPlace } from "./upload-sessions.ts";

const SINGLE_RANGE = /^bytes=[ \t]*(?:(\d{1,16})-(\d{1,16})?|-(\d{1,16}))[ \t]*$/i;
const CHUNK_RANGE = /^(?:bytes )?(\d{1,16})-(\d{1,16})(?:\/(?:\d+|\*))?$/;

/**
 * The part of a blob of `size` bytes that a `Range` header asks for.
 *
 * @returns undefined where the whole blob is the right answer: no header, another unit, several ranges, nonsense;
 * `"unsatisfiable"` where no byte of the range exists, or its ends are in the wrong order.
 */
export function parseRangeHeader(
  header: string | undefined,
  size: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = SINGLE_RANGE.exec(header ?? "");
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  if (first === undefined) {
    const length = Math.min(Number(suffix), size);
    return length === 0 ? "unsatisfiable" : { offset: size - length, size: length };
  }
  const offset = Number(first);
  const end = last === undefined ? size - 1 : Math.min(Number(last), size - 1);
  return end < offset ? "unsatisfiable" : { offset, size: end - offset + 1 };
}

/**
 * The place of a chunk.
 *
 * @returns undefined without a header.
 * @throws {RegistryProblem} `BLOB_UPLOAD_INVALID` with status 416
 */
export function parseContentRange(header: string | undefined): ChunkPlace | undefined {
  if (header === undefined) return undefined;
  const match = CHUNK_RANGE.exec(header);
  const offset = Number(match?.[1]);
  const size = Number(match?.[2]) - offset + 1;
  if (match !== null && size > 0) return { offset, size };
  throw new RegistryProblem("BLOB_UPLOAD_INVALID", 'expected Content-Range to be "<first>-<last>"', {
    status: 416,
  });
}
