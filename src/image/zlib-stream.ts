/**
 * A node:zlib stream between two asynchronous iterations, with backpressure on both sides.
 *
 * @module
 */
import { once } from "node:events";
import type { Transform } from "node:stream";
import type { Gunzip, InflateRaw, ZstdDecompress } from "node:zlib";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";

/** Output pieces, and input that waits in the stream, in bytes: the work of a few milliseconds. */
export const ZLIB_PIECE_BYTES: number = 1 << 20;

/** Options of a decompressor: large pieces, and enough waiting input that the next piece is read meanwhile. */
export const ZLIB_OPTIONS: { readonly chunkSize: number; readonly highWaterMark: number } = {
  chunkSize: ZLIB_PIECE_BYTES,
  highWaterMark: 2 * ZLIB_PIECE_BYTES,
};

/** The decompressors of node:zlib. */
export type Decompressor = (Gunzip | InflateRaw | ZstdDecompress) & Transform;

/**
 * Decompresses `pieces`. On a normal end all of `pieces` has been consumed, also what follows the compressed data.
 * A consumer that stops early ends the input's iteration too.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID`; what the input throws, unchanged.
 */
export async function* throughZlib(
  stream: Decompressor,
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const feeding = feed(stream, pieces);
  feeding.catch(() => undefined);
  try {
    for await (const piece of stream) yield piece as Uint8Array;
    await feeding;
  } catch (error) {
    const foreign = isZlibFailure(error);
    throw foreign ? compressionInvalid(messageOf(error), error) : error;
  } finally {
    stream.destroy();
    await feeding.catch(() => undefined);
  }
}

/** The error for bytes that do not decompress. */
export function compressionInvalid(reason: string, cause?: unknown): EsgzError {
  return new EsgzError("COMPRESSION_INVALID", `Cannot decompress layer: ${reason}`, { cause });
}

function isZlibFailure(error: unknown): boolean {
  const code = systemCodeOf(error) ?? "";
  return code.startsWith("Z_") || code.startsWith("ZSTD_") || code === "ERR_BUFFER_TOO_LARGE";
}

/** Writes the input to the stream as it drains; what comes after the end of the compressed data is read and dropped. */
async function feed(stream: Decompressor, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    for await (const piece of pieces) {
      if (stream.readableEnded) continue;
      if (stream.destroyed) return;
      if (!stream.write(piece)) await drained(stream);
    }
    if (!stream.destroyed) stream.end();
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(messageOf(error)));
    throw error;
  }
}

async function drained(stream: Decompressor): Promise<void> {
  if (stream.destroyed || stream.readableEnded) return;
  const abandon = new AbortController();
  const options = { signal: abandon.signal };
  try {
    await Promise.race([
      once(stream, "drain", options),
      once(stream, "close", options),
      once(stream, "end", options),
    ]);
  } catch (error) {
    if (!stream.destroyed) throw error;
  } finally {
    abandon.abort();
  }
}
