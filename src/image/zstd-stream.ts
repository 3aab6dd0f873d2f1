/**
 * Decompressing zstd: any number of frames, skippable ones among them.
 *
 * node:zlib stops behind the first frame, so frames are told apart here: short ones (zstd:chunked has one per chunk)
 * are decompressed in one call, long ones through a stream.
 *
 * @module
 */
import { createZstdDecompress, zstdDecompressSync } from "node:zlib";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { messageOf } from "../errors/index.ts";
import { compressionInvalid, throughZlib, ZLIB_OPTIONS, ZLIB_PIECE_BYTES } from "./zlib-stream.ts";
import { MAX_BLOCK_BYTES, ZstdFrameScanner } from "./zstd-frame-scanner.ts";

/** Frames of up to 8 blocks (1 MiB of content) are short: a few milliseconds on the calling thread. */
const MAX_SHORT_BLOCKS = 8;

/**
 * Decompresses all frames of a zstd stream.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID`; what the input throws.
 */
export async function* unzstdStream(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = new PieceCursor(pieces);
  try {
    while (await input.fill()) yield* decompressFrame(input);
  } finally {
    await input.close();
  }
}

async function* decompressFrame(input: PieceCursor): AsyncGenerator<Uint8Array, void, undefined> {
  const scanner = new ZstdFrameScanner();
  const parts: Uint8Array[] = [];
  while (!scanner.ended && scanner.blocks <= MAX_SHORT_BLOCKS) {
    if (!(await input.fill())) throw truncated();
    const part = input.takeFrame(scanner);
    if (!scanner.skippable) parts.push(part);
  }
  if (scanner.skippable) return;
  if (scanner.ended && scanner.blocks <= MAX_SHORT_BLOCKS) {
    const content = decompressShort(concatBytes(parts), scanner.blocks);
    if (content.length > 0) yield content;
    return;
  }
  const stream = createZstdDecompress(ZLIB_OPTIONS);
  yield* throughZlib(stream, restOfFrame(parts, { input, scanner }));
}

function decompressShort(frame: Uint8Array, blocks: number): Uint8Array {
  const bound = Math.max(1, blocks) * MAX_BLOCK_BYTES;
  try {
    return zstdDecompressSync(frame, {
      maxOutputLength: bound,
      chunkSize: Math.min(bound, ZLIB_PIECE_BYTES),
    });
  } catch (cause) {
    throw compressionInvalid(messageOf(cause), cause);
  }
}

async function* restOfFrame(
  parts: readonly Uint8Array[],
  { input, scanner }: { readonly input: PieceCursor; readonly scanner: ZstdFrameScanner },
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* parts;
  while (!scanner.ended) {
    if (!(await input.fill())) throw truncated();
    yield input.takeFrame(scanner);
  }
}

/** A place in a stream of pieces. */
class PieceCursor {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = NO_BYTES;
  #at = 0;

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#iterator = pieces[Symbol.asyncIterator]();
  }

  /** Makes sure that there is a byte to take; false at the end. */
  async fill(): Promise<boolean> {
    while (this.#at >= this.#piece.length) {
      const next = await this.#iterator.next();
      if (next.done === true) return false;
      this.#piece = next.value;
      this.#at = 0;
    }
    return true;
  }

  /** The bytes at hand that belong to the scanner's frame. */
  takeFrame(scanner: ZstdFrameScanner): Uint8Array {
    const end = scanner.scan(this.#piece, this.#at);
    const taken = this.#piece.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

function truncated(): Error {
  return compressionInvalid("the data ends inside a zstd frame");
}
