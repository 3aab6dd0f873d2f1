/**
 * Regrouping the pieces of a byte stream.
 *
 * @module
 */
import { ByteQueue, concatBytes } from "../bytes/index.ts";

/**
 * Small pieces joined to at least `size` bytes (the last one may be smaller); pieces that are large enough pass as
 * they are. Empty pieces are dropped.
 */
export async function* joinPieces(
  pieces: AsyncIterable<Uint8Array>,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let waiting: Uint8Array[] = [];
  let waitingSize = 0;
  for await (const piece of pieces) {
    if (piece.length === 0) continue;
    waiting.push(piece);
    waitingSize += piece.length;
    if (waitingSize < size) continue;
    yield concatBytes(waiting);
    waiting = [];
    waitingSize = 0;
  }
  if (waitingSize > 0) yield concatBytes(waiting);
}

/** The first bytes of a stream, and the stream with them still in it. */
export interface PeekedStream {
  /** At least the bytes asked for, unless the stream has fewer. */
  readonly head: Uint8Array;
  /** The whole stream, to be iterated once. */
  readonly pieces: AsyncGenerator<Uint8Array, void, undefined>;
}

/** Looks at the first `size` bytes of a stream. Iterating (or returning) `pieces` releases the stream. */
export async function peekStream(source: AsyncIterable<Uint8Array>, size: number): Promise<PeekedStream> {
  const iterator = source[Symbol.asyncIterator]();
  const seen = new ByteQueue();
  while (seen.size < size) {
    const next = await iterator.next();
    if (next.done === true) break;
    seen.push(next.value);
  }
  const head = seen.take(seen.size) ?? new Uint8Array(0);
  return { head, pieces: resume(head, iterator) };
}

async function* resume(
  head: Uint8Array,
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let ended = false;
  try {
    if (head.length > 0) yield head;
    for (;;) {
      const next = await iterator.next();
      if (next.done === true) break;
      yield next.value;
    }
    ended = true;
  } finally {
    if (!ended) await iterator.return?.();
  }
}
