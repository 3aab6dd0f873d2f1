/**
 * A layer's tar from its stored bytes, whatever its media type says.
 *
 * @module
 */
import type { LayerCompression } from "../oci/index.ts";
import { joinPieces, peekStream } from "./byte-stream.ts";
import { gunzipStream, type GunzipOptions } from "./gzip-stream.ts";
import { unzstdStream } from "./zstd-stream.ts";

/** What the first bytes are enough for. */
const MAGIC_BYTES = 4;
const INPUT_PIECE_BYTES = 256 << 10;

/**
 * The compression that the first bytes of a layer show. As containerd does, bytes are believed rather than media
 * types: tools have long labelled plain tars as gzip.
 */
export function detectCompression(head: Uint8Array): LayerCompression {
  const [a, b, c, d] = head;
  if (a === 0x1f && b === 0x8b && c === 0x08) return "gzip";
  if (a === 0x28 && b === 0xb5 && c === 0x2f && d === 0xfd) return "zstd";
  const skippable = a !== undefined && (a & 0xf0) === 0x50 && b === 0x2a && c === 0x4d && d === 0x18;
  return skippable ? "zstd" : "uncompressed";
}

/**
 * Decompresses gzip (any number of members, foreign bytes behind the last), zstd (any number of frames) or nothing.
 * On a normal end the whole input has been consumed.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID`; what the input throws.
 */
export async function* decompressStream(
  input: AsyncIterable<Uint8Array>,
  options: GunzipOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { head, pieces } = await peekStream(input, MAGIC_BYTES);
  const compression = detectCompression(head);
  if (compression === "uncompressed") yield* pieces;
  else if (compression === "zstd") yield* unzstdStream(joinPieces(pieces, INPUT_PIECE_BYTES));
  else yield* gunzipStream(joinPieces(pieces, INPUT_PIECE_BYTES), options);
}
