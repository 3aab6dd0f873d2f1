/**
 * A row of the chunk table.
 *
 * ```text
 * offset  size  what
 * 0       8     place: first byte on the data device
 * 8       8     blob offset of the member that holds the chunk
 * 16      8     inner offset: first byte of the chunk in the inflated member
 * 24      4     size of the chunk in bytes, at least 1
 * 28      4     size of the member in the blob; 0 if the chunk cannot be fetched by itself
 * 32      32    SHA-256 of the chunk
 *         = 64
 * ```
 *
 * Numbers are little-endian; those of 8 bytes are below 2^53.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** The size of a row in bytes. */
export const ROW_SIZE = 64;

/** The size of a raw SHA-256. */
export const CHUNK_DIGEST_SIZE = 32;

/** The unit of places on a data device, and of what the kernel reads from it. */
export const BLOCK_SIZE = 4096;

/** A chunk: where it lies on the data device, where it lies in the blob, what it is. */
export interface ChunkRow {
  /** The first byte on the data device. */
  readonly place: number;
  /** The number of bytes, at least 1. */
  readonly size: number;
  /** The first byte in the blob of the compressed member that holds the chunk. */
  readonly blobOffset: number;
  /** The compressed size of the member in bytes; 0 if the chunk cannot be fetched by itself. */
  readonly memberSize: number;
  /** The first byte of the chunk in the inflated member. */
  readonly innerOffset: number;
  /** The raw SHA-256 (32 bytes) of the chunk. */
  readonly digest: Uint8Array;
}

const MAX_U32 = 0xffff_ffff;

/**
 * Writes a row.
 *
 * @throws {EsgzError} `STORE_INVALID` for numbers or a digest that a row cannot hold.
 */
export function encodeRow(row: ChunkRow, target: DataView, offset: number): void {
  const { place, size, blobOffset, memberSize, innerOffset, digest } = row;
  for (const value of [place, blobOffset, innerOffset]) if (!isWhole(value)) throw badRow(value);
  for (const value of [size, memberSize]) if (!isWhole(value) || value > MAX_U32) throw badRow(value);
  if (digest.length !== CHUNK_DIGEST_SIZE) throw badRow(`a digest of ${digest.length} bytes`);
  writeUint64(target, offset, place);
  writeUint64(target, offset + 8, blobOffset);
  writeUint64(target, offset + 16, innerOffset);
  target.setUint32(offset + 24, size, true);
  target.setUint32(offset + 28, memberSize, true);
  new Uint8Array(target.buffer, target.byteOffset + offset + 32, CHUNK_DIGEST_SIZE).set(digest);
}

/** What a row says beside its digest. */
export type ChunkNumbers = Omit<ChunkRow, "digest">;

/** Reads a row; the digest is a copy. Numbers that are too large come out as more than 2^53, for the caller to refuse. */
export function decodeRow(source: DataView, offset: number): ChunkRow {
  const digest = new Uint8Array(source.buffer, source.byteOffset + offset + 32, CHUNK_DIGEST_SIZE).slice();
  return { ...decodeNumbers(source, offset), digest };
}

/** Reads a row without its digest. */
export function decodeNumbers(source: DataView, offset: number): ChunkNumbers {
  return {
    place: readPlace(source, offset),
    blobOffset: readUint64(source, offset + 8),
    innerOffset: readUint64(source, offset + 16),
    size: source.getUint32(offset + 24, true),
    memberSize: source.getUint32(offset + 28, true),
  };
}

/** Reads only the place of a row. */
export function readPlace(source: DataView, offset: number): number {
  return readUint64(source, offset);
}

/** Reads only the first 32 bits of a row's digest. */
export function readDigestPrefix(source: DataView, offset: number): number {
  return source.getUint32(offset + 32, true);
}

function writeUint64(target: DataView, offset: number, value: number): void {
  target.setUint32(offset, value >>> 0, true);
  target.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

function readUint64(source: DataView, offset: number): number {
  return source.getUint32(offset, true) + source.getUint32(offset + 4, true) * 2 ** 32;
}

function isWhole(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function badRow(found: number | string): EsgzError {
  return new EsgzError(
    "STORE_INVALID",
    `Cannot write a chunk table: expected whole numbers in bounds, got ${found}`,
  );
}
