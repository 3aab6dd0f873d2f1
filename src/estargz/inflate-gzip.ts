/**
 * Inflating the start of a run of gzip members, never much more than was asked for.
 *
 * A member of a seekable layer goes on behind the content that is wanted: with the tar padding and the headers of
 * entries that follow. The last four bytes of the run (ISIZE, RFC 1952) say how large the last member is; they are
 * foreign, so they only choose the first buffer's size, inside a bound.
 *
 * @module
 */
import { constants, gunzipSync } from "node:zlib";
import { NO_BYTES, viewOf } from "../bytes/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { loadLibdeflate, type Libdeflate } from "./libdeflate.ts";

/** How far an attempt may go beyond the bytes that are wanted. */
const MAX_EXCESS = 16 * 1024 * 1024;
/** Room for what usually follows: padding and a header, with long names and extended attributes. */
const USUAL_EXCESS = 8 * 1024;
/** Deflate cannot expand further than this. */
const MAX_DEFLATE_RATIO = 1032;
const MIN_MEMBER_SIZE = 18;
/** More members than this in one run go to zlib, which reads past them without a call for each. */
const MAX_MEMBERS = 1024;

/**
 * Inflates at least the first `size` bytes of the members. Bytes behind those that are needed may be missing or foreign.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID` if the members do not hold them.
 */
export function inflateGzip(members: Uint8Array, size: number): Uint8Array {
  if (size === 0) return NO_BYTES;
  if (members.length < 2 || size > members.length * MAX_DEFLATE_RATIO) {
    throw tooShort(size, `${members.length} compressed bytes`);
  }
  const capacity = firstCapacity(members, size);
  const library = loadLibdeflate();
  return (
    (library === undefined ? undefined : inflateWithLibdeflate(library, { members, size, capacity })) ??
    inflateWithZlib(members, size)
  );
}

function firstCapacity(members: Uint8Array, size: number): number {
  const usual = size + USUAL_EXCESS;
  if (members.length < MIN_MEMBER_SIZE) return usual;
  const hint = viewOf(members).getUint32(members.length - 4, true);
  return hint >= size && hint <= size + MAX_EXCESS ? hint : usual;
}

/** Undefined where libdeflate cannot tell: no room, cut off, broken. */
function inflateWithLibdeflate(
  library: Libdeflate,
  job: { readonly members: Uint8Array; readonly size: number; readonly capacity: number },
): Uint8Array | undefined {
  const output = Buffer.allocUnsafeSlow(job.capacity);
  let consumed = 0;
  let produced = 0;
  for (let member = 0; produced < job.size && consumed < job.members.length; member += 1) {
    if (member > MAX_MEMBERS) return undefined;
    const outcome = library.inflateGzip(job.members.subarray(consumed), output.subarray(produced));
    if (outcome.kind !== "done") return undefined;
    consumed += outcome.consumed;
    produced += outcome.produced;
  }
  return produced >= job.size ? output.subarray(0, produced) : undefined;
}

/**
 * Inflates prefixes of the compressed bytes until one gives enough, but not too much. The first attempt is with all of
 * them and almost always the last.
 */
function inflateWithZlib(members: Uint8Array, size: number): Uint8Array {
  let tooFew = 0;
  let tooMany = members.length + 1;
  let length = members.length;
  let failure: unknown;
  while (length > tooFew && length < tooMany) {
    const attempt = tryZlib(members.subarray(0, length), size);
    if (attempt.kind === "done") return attempt.bytes;
    if (attempt.kind === "too few") tooFew = length;
    else tooMany = length;
    failure = attempt.failure;
    length = (tooFew + tooMany) >>> 1;
  }
  throw tooShort(size, failure === undefined ? "fewer" : messageOf(failure), failure);
}

type Attempt =
  | { readonly kind: "done"; readonly bytes: Uint8Array; readonly failure?: undefined }
  | { readonly kind: "too few" | "too much"; readonly failure?: unknown };

function tryZlib(compressed: Uint8Array, size: number): Attempt {
  try {
    const bytes = gunzipSync(compressed, {
      chunkSize: Math.max(64, firstCapacity(compressed, size) + 1),
      maxOutputLength: size + MAX_EXCESS,
      finishFlush: constants.Z_SYNC_FLUSH,
    });
    return bytes.length >= size ? { kind: "done", bytes } : { kind: "too few" };
  } catch (error) {
    // Broken bytes may stand behind those that are wanted: a shorter prefix tells.
    const kind = systemCodeOf(error) === "Z_BUF_ERROR" ? "too few" : "too much";
    return { kind, failure: error };
  }
}

function tooShort(size: number, found: string, ...[cause]: [unknown?]): EsgzError {
  return new EsgzError(
    "COMPRESSION_INVALID",
    `Cannot inflate gzip member: expected ${size} bytes, got ${found}`,
    {
      cause,
    },
  );
}
