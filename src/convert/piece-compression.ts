/**
 * Compressing a stream that has no index: in pieces, several at once, in order.
 *
 * @module
 */
import { ByteQueue, NO_BYTES } from "../bytes/index.ts";
import type { Compressor } from "../estargz/index.ts";

/**
 * The uncompressed bytes of a piece. Each becomes a gzip member or zstd frame of its own: large enough that starting
 * anew costs less than 0.1 % in size, small enough that many fit into memory. It decides the output's bytes.
 */
export const PIECE_SIZE: number = 4 << 20;

/** What compressing takes. */
export interface PieceCompressionOptions {
  readonly compressor: Compressor;
  readonly level: number;
  /** How many pieces are in memory at once. Never changes the result. */
  readonly pieces: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Compresses a stream. The output depends on the bytes of the stream only, not on how they arrive or how many pieces
 * are in work; an empty stream becomes one empty member.
 */
export async function* compressPieces(
  stream: AsyncIterable<Uint8Array>,
  options: PieceCompressionOptions,
): AsyncGenerator<Uint8Array> {
  const { compressor, level } = options;
  const ended = new AbortController();
  const signal =
    options.signal === undefined ? ended.signal : AbortSignal.any([options.signal, ended.signal]);
  const work: Promise<Uint8Array>[] = [];
  try {
    for await (const parts of piecesOf(stream)) {
      signal.throwIfAborted();
      const compressed = compressor.compress(parts, { level, signal });
      // Its failure is seen when its turn comes; until then it must not count as unhandled.
      compressed.catch(() => undefined);
      work.push(compressed);
      while (work.length >= options.pieces) yield await (work.shift() ?? NO_BYTES);
    }
    while (work.length > 0) yield await (work.shift() ?? NO_BYTES);
  } finally {
    ended.abort();
    await Promise.allSettled(work);
  }
}

/** Cuts a stream into pieces of {@linkcode PIECE_SIZE}, the last one shorter. At least one. */
async function* piecesOf(stream: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Uint8Array[]> {
  const queue = new ByteQueue();
  let empty = true;
  for await (const chunk of stream) {
    queue.push(chunk);
    while (queue.size >= PIECE_SIZE) {
      empty = false;
      yield takeParts(queue, PIECE_SIZE);
    }
  }
  if (queue.size > 0 || empty) yield takeParts(queue, queue.size);
}

function takeParts(queue: ByteQueue, size: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let missing = size; missing > 0;) {
    const part = queue.takeSome(missing);
    missing -= part.length;
    parts.push(part);
  }
  return parts;
}
