/**
 * Decompressing gzip: one member or many, followed by nothing, by zeros or by foreign bytes.
 *
 * Source: RFC 1952. What follows the last member without being one is ignored, as gzip(1) does.
 *
 * | bytes | field |
 * | --- | --- |
 * | 2 | magic 1f 8b |
 * | 1 | method, 8 |
 * | 1 | flags: 2 header CRC, 4 extra field, 8 name, 16 comment |
 * | 6 | time, extra flags, system |
 * | 2 + n | extra field, with its length before it |
 * | n | name, ends with a zero byte |
 * | n | comment, ends with a zero byte |
 * | 2 | header CRC |
 * | ... | deflate data |
 * | 8 | CRC-32 and size modulo 2^32 of the data, little-endian |
 *
 * @module
 */
import { crc32, createGunzip, createInflateRaw } from "node:zlib";
import { concatBytes, viewOf } from "../bytes/index.ts";
import { isEsgzError } from "../errors/index.ts";
import { joinPieces } from "./byte-stream.ts";
import {
  compressionInvalid,
  type Decompressor,
  throughZlib,
  ZLIB_OPTIONS,
  ZLIB_PIECE_BYTES,
} from "./zlib-stream.ts";

const MAX_HEADER_BYTES = 1 << 20;
const FIXED_HEADER_BYTES = 10;
const TRAILER_BYTES = 8;

/** How to decompress gzip. */
export interface GunzipOptions {
  /** Gives the same input again from its start, where that is possible: needed when foreign bytes follow the last member. */
  readonly reread?: (() => AsyncIterable<Uint8Array>) | undefined;
}

/**
 * Decompresses all members of a gzip stream.
 *
 * zlib does this in one go, but drops output when foreign bytes follow the last member. Such input is read a second
 * time, member by member.
 *
 * @throws {EsgzError} `COMPRESSION_INVALID`; what the input throws.
 */
export async function* gunzipStream(
  pieces: AsyncIterable<Uint8Array>,
  options: GunzipOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  let delivered = 0;
  try {
    for await (const piece of throughZlib(createGunzip(ZLIB_OPTIONS), pieces)) {
      delivered += piece.length;
      yield piece;
    }
    return;
  } catch (error) {
    const mayBeTail =
      isEsgzError(error, "COMPRESSION_INVALID") &&
      /incorrect header check|unknown compression|unexpected end/.test(error.message);
    if (!mayBeTail || options.reread === undefined) throw error;
  }
  let skip = delivered;
  for await (const piece of gunzipMembers(joinPieces(options.reread(), ZLIB_PIECE_BYTES))) {
    const dropped = Math.min(skip, piece.length);
    skip -= dropped;
    if (dropped < piece.length) yield piece.subarray(dropped);
  }
  if (skip > 0) throw compressionInvalid("the data changed between two reads");
}

/** Member by member; slower, but it knows where each one ends. */
async function* gunzipMembers(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const input = new PushbackReader(pieces);
  try {
    for (let first = true; ; first = false) {
      const magic = await input.peek(2);
      if (magic[0] !== 0x1f || magic[1] !== 0x8b) {
        if (first) throw compressionInvalid("expected a gzip header");
        break;
      }
      await skipHeader(input);
      yield* inflateBody(input);
    }
    while ((await input.next()) !== undefined);
  } finally {
    await input.close();
  }
}

async function* inflateBody(input: PushbackReader): AsyncGenerator<Uint8Array, void, undefined> {
  let sum = 0;
  let size = 0;
  const inflate = createInflateRaw(ZLIB_OPTIONS);
  const fed = new RecordedPieces(input, inflate);
  for await (const piece of throughZlib(inflate, fed.pieces())) {
    sum = crc32(piece, sum);
    size += piece.length;
    yield piece;
  }
  fed.giveBack();
  const trailer = await input.take(TRAILER_BYTES);
  const view = viewOf(trailer);
  if (view.getUint32(0, true) !== sum || view.getUint32(4, true) !== size % 2 ** 32) {
    throw compressionInvalid("a gzip member's checksum is wrong");
  }
}

async function skipHeader(input: PushbackReader): Promise<void> {
  const fixed = await input.take(FIXED_HEADER_BYTES);
  const flags = fixed[3] ?? 0;
  if (fixed[2] !== 8 || flags > 31) throw compressionInvalid("expected a gzip header");
  if ((flags & 4) !== 0) await input.take(viewOf(await input.take(2)).getUint16(0, true));
  if ((flags & 8) !== 0) await skipText(input);
  if ((flags & 16) !== 0) await skipText(input);
  if ((flags & 2) !== 0) await input.take(2);
}

async function skipText(input: PushbackReader): Promise<void> {
  for (let length = 0; length < MAX_HEADER_BYTES; length += 1) {
    if ((await input.take(1))[0] === 0) return;
  }
  throw compressionInvalid("a gzip header is too long");
}

/** Bytes taken by number, with what was taken too much put back. */
class PushbackReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #held: Uint8Array[] = [];

  constructor(pieces: AsyncIterable<Uint8Array>) {
    this.#iterator = pieces[Symbol.asyncIterator]();
  }

  async next(): Promise<Uint8Array | undefined> {
    const held = this.#held.shift();
    if (held !== undefined) return held;
    const next = await this.#iterator.next();
    return next.done === true ? undefined : next.value;
  }

  /** Exactly `size` bytes. */
  async take(size: number): Promise<Uint8Array> {
    const taken = await this.#gather(size);
    if (taken.length < size) throw compressionInvalid("the data ends inside a gzip member");
    this.putBack(taken.subarray(size));
    return taken.subarray(0, size);
  }

  /** The next `size` bytes, fewer at the end, which stay. */
  async peek(size: number): Promise<Uint8Array> {
    const taken = await this.#gather(size);
    this.putBack(taken);
    return taken.subarray(0, size);
  }

  putBack(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#held.unshift(bytes);
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #gather(size: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let have = 0; have < size;) {
      const piece = await this.next();
      if (piece === undefined) break;
      parts.push(piece);
      have += piece.length;
    }
    return concatBytes(parts);
  }
}

/** Remembers what went into a decompressor since it may take less than it was given. */
class RecordedPieces {
  readonly #input: PushbackReader;
  readonly #stream: Decompressor;
  #given = 0;
  /** The last pieces given, at least all that the stream has not consumed. */
  readonly #recent: Uint8Array[] = [];
  #recentSize = 0;

  constructor(input: PushbackReader, stream: Decompressor) {
    this.#input = input;
    this.#stream = stream;
  }

  /** The input's pieces until the stream has ended. */
  async *pieces(): AsyncGenerator<Uint8Array, void, undefined> {
    while (!this.#stream.readableEnded) {
      const piece = await this.#input.next();
      if (piece === undefined) return;
      this.#given += piece.length;
      this.#recent.push(piece);
      this.#recentSize += piece.length;
      this.#dropConsumed();
      yield piece;
    }
  }

  /** Puts back what the stream did not consume. */
  giveBack(): void {
    let excess = this.#given - this.#stream.bytesWritten;
    while (excess > 0) {
      const piece = this.#recent.pop();
      if (piece === undefined) throw compressionInvalid("a gzip member's end was lost");
      const part = piece.subarray(Math.max(0, piece.length - excess));
      this.#input.putBack(part);
      excess -= part.length;
    }
  }

  #dropConsumed(): void {
    for (let first = this.#recent[0]; first !== undefined; first = this.#recent[0]) {
      const end = this.#given - this.#recentSize + first.length;
      if (end > this.#stream.bytesWritten) return;
      this.#recent.shift();
      this.#recentSize -= first.length;
    }
  }
}
