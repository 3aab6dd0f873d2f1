/**
 * One file out of a remote archive, through its chunks alone.
 *
 * @module
 */
import type { BlobSource, ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Archive } from "./archive.ts";
import { inflateMember, type MemberCompression, memberSizeFor, sliceChunk } from "./inflate-member.ts";
import type { Chunk, TocEntry } from "./toc-entry.ts";

/** Zeros of a hole are given out in pieces of this size. */
const HOLE_PIECE = 64 * 1024;
/**
 * Compressed bytes that can be needed beyond the content's size: deflate and zstd grow incompressible content by less
 * than a tenth, even flushed often.
 */
const compressedBound = (size: number): number => Math.ceil(size * 1.1) + 64 * 1024;

/**
 * Reads a file's content, chunk by chunk, each verified before it is given out. Hard links are followed. Reads from the
 * blob only the members that hold the file's chunks, one at a time.
 *
 * @throws {EsgzError} `FILE_NOT_FOUND` if there is no regular file at the path; `DIGEST_MISMATCH`,
 * `COMPRESSION_INVALID` if the blob is not what the TOC says; codes of the blob.
 */
export async function* readFile(
  archive: Archive,
  blob: BlobSource,
  path: string,
  options: ReadOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { chunks } = findFile(archive, path);
  yield* readChunks(blob, chunks, { ...options, compression: archive.compression });
}

/**
 * Reads the chunks of one file, in order, each verified before it is given out; as {@linkcode readFile} for callers that
 * have found the file themselves.
 *
 * @throws {EsgzError} as {@linkcode readFile}, without `FILE_NOT_FOUND`.
 */
export async function* readChunks(
  blob: BlobSource,
  chunks: readonly Chunk[],
  options: ReadOptions & { readonly compression: MemberCompression },
): AsyncGenerator<Uint8Array, void, undefined> {
  let current: { readonly blobOffset: number; readonly bytes: Uint8Array } | undefined;
  for (const [i, chunk] of chunks.entries()) {
    options.signal?.throwIfAborted();
    if (chunk.kind === "zeros") {
      yield* zeros(chunk.size);
      continue;
    }
    if (current?.blobOffset !== chunk.blobOffset) {
      const size = memberSizeFor(lastOfMember(chunks, i) ?? chunk);
      const compressed = await readMember(blob, { chunk, size, signal: options.signal });
      const bytes = inflateMember(compressed, { compression: options.compression, size });
      current = { blobOffset: chunk.blobOffset, bytes };
    }
    yield sliceChunk(current.bytes, chunk);
  }
}

function findFile(archive: Archive, path: string): TocEntry {
  const found = archive.get(path);
  const entry = found === undefined ? undefined : archive.resolveHardlink(found);
  if (entry?.type === "reg") return entry;
  throw new EsgzError(
    "FILE_NOT_FOUND",
    `Cannot read file "${path}": expected a regular file, got ${entry === undefined ? "no entry" : `a ${entry.type}`}`,
  );
}

/** The file's last chunk in the member that holds its chunk `at`: they follow each other. */
function lastOfMember(chunks: readonly Chunk[], at: number): Chunk | undefined {
  let last = chunks[at];
  for (let i = at + 1; i < chunks.length; i += 1) {
    const chunk = chunks[i];
    if (chunk?.kind === "data" && chunk.blobOffset !== last?.blobOffset) break;
    if (chunk?.kind === "data") last = chunk;
  }
  return last;
}

async function readMember(
  blob: BlobSource,
  options: {
    readonly chunk: Chunk;
    readonly size: number;
    readonly signal: AbortSignal | undefined;
  },
): Promise<Uint8Array> {
  const { blobOffset, blobEnd } = options.chunk;
  const size = Math.min(blobEnd - blobOffset, compressedBound(options.size));
  return await blob.read({ offset: blobOffset, size }, { signal: options.signal });
}

function* zeros(size: number): Generator<Uint8Array> {
  for (let left = size; left > 0; left -= HOLE_PIECE) yield new Uint8Array(Math.min(left, HOLE_PIECE));
}
