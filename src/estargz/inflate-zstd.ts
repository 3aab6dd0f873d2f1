/**
 * Decompressing the start of a run of zstd frames, never much more than was asked for.
 *
 * @module
 */
import { constants, zstdDecompressSync } from "node:zlib";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { measureZstdFrame } from "./zstd-frame.ts";

/** How far an attempt may go beyond the bytes that are wanted. */
const MAX_EXCESS = 16 * 1024 * 1024;
/** Room for what usually follows: padding and a header. */
const USUAL_EXCESS = 8 * 1024;
/** Writers make no empty frames; each costs time and brings nothing. */
const MAX_EMPTY_FRAMES = 64;

/**
 * Decompresses at least the first `size` bytes of the frames. Skippable frames are passed over.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID` if the frames do not hold them.
 */
export function inflateZstd(frames: Uint8Array, size: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let produced = 0;
  let at = 0;
  let empty = 0;
  while (produced < size) {
    const frame = measureZstdFrame(frames, at);
    if (frame === undefined || empty > MAX_EMPTY_FRAMES) throw tooShort(size, `${produced}, then no frame`);
    const compressed = frames.subarray(at, at + frame.size);
    if (frame.kind === "data") {
      const wanted = Math.min(size - produced, frame.contentSize ?? size);
      const part = inflateFrame(compressed, { wanted, contentSize: frame.contentSize });
      parts.push(part);
      produced += part.length;
      if (part.length === 0) empty += 1;
    }
    at += frame.size;
  }
  return parts.length === 0 ? NO_BYTES : concatBytes(parts);
}

/** Decompresses prefixes of a frame until one gives enough, but not too much; nearly always the whole at once. */
function inflateFrame(
  frame: Uint8Array,
  options: { readonly wanted: number; readonly contentSize: number | undefined },
): Uint8Array {
  const { wanted, contentSize } = options;
  let tooFew = 0;
  let tooMany = frame.length + 1;
  let length = frame.length;
  let best: Uint8Array = NO_BYTES;
  while (length > tooFew && length < tooMany) {
    const attempt = tryZstd(frame.subarray(0, length), options);
    if (attempt instanceof Error) tooMany = length;
    else if (attempt.length >= wanted) return attempt;
    // A frame without a stated size may be short: the next frame goes on.
    else if (length === frame.length && contentSize === undefined) return attempt;
    else {
      tooFew = length;
      best = attempt;
    }
    length = (tooFew + tooMany) >>> 1;
  }
  throw tooShort(wanted, `${best.length}`);
}

function tryZstd(
  compressed: Uint8Array,
  options: { readonly wanted: number; readonly contentSize: number | undefined },
): Uint8Array | Error {
  const { wanted, contentSize } = options;
  const usual = Math.min(contentSize ?? Infinity, wanted + USUAL_EXCESS);
  try {
    return zstdDecompressSync(compressed, {
      chunkSize: Math.max(64, usual + 1),
      maxOutputLength: wanted + MAX_EXCESS,
      finishFlush: constants.ZSTD_e_continue,
    });
  } catch (error) {
    if (systemCodeOf(error) === "Z_BUF_ERROR") return NO_BYTES;
    return error instanceof Error ? error : new Error(messageOf(error));
  }
}

function tooShort(size: number, found: string): EsgzError {
  return new EsgzError(
    "COMPRESSION_INVALID",
    `Cannot decompress zstd frame: expected ${size} bytes, got ${found}`,
  );
}
