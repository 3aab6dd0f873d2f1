/**
 * Bytes into a new file, hashed on the way.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { EsgzError } from "../errors/index.ts";
import { algorithmOf, digestMismatch, parseDigest } from "../oci/index.ts";
import type { WriteBlobOptions, WrittenBlob } from "./image-destination.ts";
import { ioFailure } from "./io-failure.ts";

/**
 * Writes content to a new file at `path`, fsyncs it, and returns its digest (of the expected digest's algorithm, else
 * sha256) and size. On failure the file may remain: the caller's temporary directory is what removes it.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `SIZE_MISMATCH`, `NO_SPACE`, `IO_FAILED`; what the content throws.
 */
export async function receiveBlob(
  path: string,
  content: Uint8Array | AsyncIterable<Uint8Array>,
  options: WriteBlobOptions = {},
): Promise<WrittenBlob> {
  const { expected, signal } = options;
  const algorithm = expected === undefined ? "sha256" : algorithmOf(expected.digest);
  const hash = createHash(algorithm);
  let size = 0;
  const handle = await openNew(path);
  try {
    for await (const piece of piecesOf(content)) {
      signal?.throwIfAborted();
      size += piece.length;
      if (expected !== undefined && size > expected.size) throw sizeMismatch(path, expected.size, size);
      const written = writeFully(handle, piece, path);
      hash.update(piece);
      await written;
    }
    if (expected !== undefined && size !== expected.size) throw sizeMismatch(path, expected.size, size);
    const digest = parseDigest(`${algorithm}:${hash.digest("hex")}`);
    if (expected !== undefined && digest !== expected.digest)
      throw digestMismatch("blob", expected.digest, digest);
    await handle.datasync().catch((cause: unknown) => {
      throw ioFailure("sync file", path, cause);
    });
    return { digest, size };
  } finally {
    await handle.close();
  }
}

async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx", 0o644);
  } catch (cause) {
    throw ioFailure("create file", path, cause);
  }
}

async function writeFully(handle: FileHandle, bytes: Uint8Array, path: string): Promise<void> {
  try {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await handle.write(bytes, at, bytes.length - at);
      at += bytesWritten;
    }
  } catch (cause) {
    throw ioFailure("write file", path, cause);
  }
}

async function* piecesOf(
  content: Uint8Array | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (content instanceof Uint8Array) yield content;
  else yield* content;
}

function sizeMismatch(path: string, expected: number, found: number): EsgzError {
  return new EsgzError(
    "SIZE_MISMATCH",
    `Cannot write blob "${path}": expected ${expected} bytes, got ${found > expected ? "more" : found}`,
  );
}
