/**
 * Compressors: from uncompressed bytes to a complete gzip member or zstd frame, on the threads of libuv's pool.
 *
 * The same bytes, level and compressor give the same output, whatever else is under way. Another compressor, and another
 * version of it, may give other output: which one writes is always the caller's choice.
 *
 * @module
 */
import { promisify } from "node:util";
import {
  constants,
  gzip,
  gzipSync,
  zstdCompress,
  zstdCompressSync,
  type ZlibOptions,
  type ZstdOptions,
} from "node:zlib";
import { concatBytes, NO_BYTES } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import { loadLibdeflate, type Libdeflate } from "./libdeflate.ts";

/** Makes complete gzip members or zstd frames. Any number of calls may be under way. */
export interface Compressor {
  /** What wrote the bytes: `zlib`, `libdeflate` or `zstd`. */
  readonly name: string;
  /**
   * Compresses the parts as one content. The parts must not change until it resolves.
   *
   * @throws {EsgzError} `CONFIGURATION_INVALID` for a level that the compressor does not have.
   */
  compress(parts: readonly Uint8Array[], options: CompressOptions): Promise<Uint8Array>;
}

/** How to compress. */
export interface CompressOptions {
  /** zlib 0 to 9, libdeflate 0 to 12, zstd 1 to 22. */
  readonly level: number;
  readonly signal?: AbortSignal | undefined;
}

/** The compressors that there are. */
export type CompressorKind = "zlib" | "libdeflate" | "zstd";

/**
 * Creates a compressor.
 *
 * @throws {EsgzError} `NOT_SUPPORTED` for `libdeflate` where the library is missing.
 */
export function createCompressor(kind: CompressorKind): Compressor {
  if (kind === "zlib") return { name: kind, compress: compressWithZlib };
  if (kind === "zstd") return { name: kind, compress: compressWithZstd };
  const library = loadLibdeflate();
  if (library !== undefined) return new LibdeflateCompressor(library);
  throw new EsgzError(
    "NOT_SUPPORTED",
    "Cannot compress with libdeflate: expected libdeflate.so.0 on this machine, got none",
  );
}

const gzipAsync = promisify(gzip);
const zstdAsync = promisify(zstdCompress);

/** ID, method deflate, no flags, no time, no extra flags, unknown system: the same on every platform. */
const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
/** Below this the way to the pool and back takes longer than the work. */
const SYNC_SIZE = 4096;

async function compressWithZlib(
  parts: readonly Uint8Array[],
  { level, signal }: CompressOptions,
): Promise<Uint8Array> {
  assertLevel(level, { min: 0, max: 9, name: "zlib" });
  signal?.throwIfAborted();
  const content = concatBytes(parts);
  // Output rarely needs more than one buffer of this size, so the pool is entered once.
  const chunkSize = Math.max(1024, Math.ceil(content.length * (level === 0 ? 1.01 : 0.6)) + 64);
  const options: ZlibOptions = { level, ...memoryFor(content.length), chunkSize };
  const member = content.length <= SYNC_SIZE ? gzipSync(content, options) : await gzipAsync(content, options);
  member.set(GZIP_HEADER);
  return member;
}

/**
 * Tables no larger than the content needs: what zlib sets up and clears for a small file would otherwise take longer than
 * the file. The window holds all of it, and so does the buffer of symbols, whose end would begin a new block.
 */
function memoryFor(size: number): { readonly windowBits: number; readonly memLevel: number } {
  const bits = Math.ceil(Math.log2(size + 262));
  return { windowBits: Math.min(15, Math.max(9, bits)), memLevel: Math.min(9, Math.max(6, bits - 6)) };
}

async function compressWithZstd(
  parts: readonly Uint8Array[],
  { level, signal }: CompressOptions,
): Promise<Uint8Array> {
  assertLevel(level, { min: 1, max: 22, name: "zstd" });
  signal?.throwIfAborted();
  const content = concatBytes(parts);
  const options: ZstdOptions = {
    chunkSize: Math.max(1024, Math.ceil(content.length * 0.6) + 64),
    pledgedSrcSize: content.length,
    params: { [constants.ZSTD_c_compressionLevel]: level },
  };
  return content.length <= SYNC_SIZE ? zstdCompressSync(content, options) : await zstdAsync(content, options);
}

/** A native compressor with room for its output. */
interface Slot {
  readonly compressor: unknown;
  output: Uint8Array;
}

/** Keeps one native compressor for each call under way, and frees them all when none is. */
class LibdeflateCompressor implements Compressor {
  readonly name = "libdeflate";
  readonly #library: Libdeflate;
  readonly #idle = new Map<number, Slot[]>();
  #active = 0;

  constructor(library: Libdeflate) {
    this.#library = library;
  }

  async compress(parts: readonly Uint8Array[], { level, signal }: CompressOptions): Promise<Uint8Array> {
    assertLevel(level, { min: 0, max: 12, name: "libdeflate" });
    signal?.throwIfAborted();
    const input = concatBytes(parts);
    const idle = this.#idle.get(level) ?? [];
    this.#idle.set(level, idle);
    const slot = idle.pop() ?? { compressor: this.#library.allocateCompressor(level), output: NO_BYTES };
    this.#active += 1;
    try {
      return await this.#compressIn(slot, input);
    } finally {
      idle.push(slot);
      this.#active -= 1;
      if (this.#active === 0) this.#freeIdle();
    }
  }

  async #compressIn(slot: Slot, input: Uint8Array): Promise<Uint8Array> {
    const bound = this.#library.gzipBound(input.length);
    if (slot.output.length < bound) slot.output = Buffer.allocUnsafeSlow(bound);
    const io = { input, output: slot.output };
    const isSmall = input.length <= SYNC_SIZE;
    const size = isSmall
      ? this.#library.compressGzipSync(slot.compressor, io)
      : await this.#library.compressGzip(slot.compressor, io);
    if (size === 0) throw new EsgzError("INTERNAL", "Cannot compress: expected room in the output, got none");
    // A copy of its own size: the slot's room is used again. (Buffer's own slice would not copy.)
    const member = Uint8Array.prototype.slice.call(slot.output, 0, size);
    member.set(GZIP_HEADER);
    return member;
  }

  #freeIdle(): void {
    for (const slots of this.#idle.values()) {
      for (const { compressor } of slots.splice(0)) this.#library.freeCompressor(compressor);
    }
  }
}

function assertLevel(level: number, range: { min: number; max: number; name: string }): void {
  if (Number.isInteger(level) && level >= range.min && level <= range.max) return;
  throw new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot compress with ${range.name}: expected a level from ${range.min} to ${range.max}, got ${level}`,
  );
}
