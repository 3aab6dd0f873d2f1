/**
 * Worker side: what an earlier pull left behind is read again, and believed only where its digest is right.
 *
 * @module
 */
import { hash } from "node:crypto";
import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  rmSync,
} from "node:fs";
import { algorithmOf, hexOf } from "../oci/index.ts";
import { digestOfPiece, pathBytesOf } from "./file-table.ts";
import type { WriteContext } from "./write-batch.ts";

const READ_WRITE: number = constants.O_RDWR | constants.O_NOFOLLOW;

/**
 * Marks the pieces of these files that lie on the disk and have the right digest. Files of which nothing is right,
 * files with a second name (it may lie outside) and whatever is no regular file are removed.
 */
export function scanFiles(context: WriteContext, files: Uint32Array): void {
  let buffer: Buffer = Buffer.alloc(1 << 20);
  for (const file of files) {
    const path = context.paths.of(pathBytesOf(context.files, file));
    const fd = openExisting(path, context);
    if (fd === undefined) continue;
    let useful = false;
    try {
      buffer = roomFor(context, file, buffer);
      useful = scanPieces(context, file, { fd, buffer });
      // To its full size, so that missing pieces can be written anywhere.
      if (useful) ftruncateSync(fd, context.files.size[file] ?? 0);
    } finally {
      closeSync(fd);
    }
    if (!useful) rmSync(context.paths.of(pathBytesOf(context.files, file)), { recursive: true, force: true });
  }
}

/** Undefined if no regular file of ours with one name is there; anything else that is there is removed. */
function openExisting(path: Buffer, { metadata }: WriteContext): number | undefined {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return undefined;
  if (!stats.isFile() || stats.nlink !== 1) {
    rmSync(path, { recursive: true, force: true });
    return undefined;
  }
  // Its own mode may keep anyone but root from reading it, and from writing what is missing. It is set again later.
  if (metadata.uid !== 0) chmodSync(path, 0o600);
  return openSync(path, READ_WRITE);
}

function scanPieces(
  { files }: WriteContext,
  file: number,
  { fd, buffer }: { fd: number; buffer: Buffer },
): boolean {
  for (let piece = files.pieceStart[file] ?? 0; piece < (files.pieceStart[file + 1] ?? 0); piece += 1) {
    const size = files.pieceSize[piece] ?? 0;
    const digest = digestOfPiece(files, piece);
    const found = readFully(fd, buffer.subarray(0, size), files.pieceOffset[piece] ?? 0);
    if (!found) continue;
    const right = hash(algorithmOf(digest), buffer.subarray(0, size), "hex") === hexOf(digest);
    if (right) files.present[piece] = 1;
  }
  for (let piece = files.pieceStart[file] ?? 0; piece < (files.pieceStart[file + 1] ?? 0); piece += 1) {
    if (files.present[piece] === 1) return true;
  }
  return false;
}

function readFully(fd: number, into: Buffer, offset: number): boolean {
  for (let done = 0; done < into.length;) {
    const got = readSync(fd, into, done, into.length - done, offset + done);
    if (got === 0) return false;
    done += got;
  }
  return true;
}

function roomFor({ files }: WriteContext, file: number, buffer: Buffer): Buffer {
  let largest = buffer.length;
  for (let piece = files.pieceStart[file] ?? 0; piece < (files.pieceStart[file + 1] ?? 0); piece += 1) {
    largest = Math.max(largest, files.pieceSize[piece] ?? 0);
  }
  return largest > buffer.length ? Buffer.alloc(largest) : buffer;
}
