/**
 * A chunk's place on the data device, and the bytes that go there.
 *
 * The rest of the last block behind a file's last chunk belongs to that chunk: it is written and verified as zeros, so
 * that whole blocks can be given to the kernel.
 *
 * @module
 */
import { createHash, hash } from "node:crypto";
import { readSync, writevSync } from "node:fs";
import { encodeHex, equalBytes } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { OpenedFile } from "../files/index.ts";
import { type Digest, digestMismatch } from "../oci/index.ts";
import { BLOCK_SIZE } from "./chunk-row.ts";

/** Where a chunk goes and what it must be. Can be sent to another thread. */
export interface ChunkSlot {
  /** The first byte on the data device. */
  readonly place: number;
  /** The number of bytes. */
  readonly size: number;
  /** The number of zeros behind them, up to the next chunk or block; less than 4096. */
  readonly padding: number;
  /** The raw SHA-256 of the bytes. */
  readonly digest: Uint8Array;
}

const ZEROS = new Uint8Array(BLOCK_SIZE);
const PIECE = 1 << 20;

/**
 * Checks bytes against the slot that they are for.
 *
 * @throws {EsgzError} `SIZE_MISMATCH`, `DIGEST_MISMATCH`
 */
export function verifyChunk(slot: ChunkSlot, bytes: Uint8Array): void {
  if (bytes.length !== slot.size) {
    throw new EsgzError(
      "SIZE_MISMATCH",
      `Cannot store chunk: expected ${slot.size} bytes, got ${bytes.length}`,
    );
  }
  const found = hash("sha256", bytes, "buffer");
  if (equalBytes(found, slot.digest)) return;
  throw digestMismatch("chunk", digestText(slot.digest), digestText(found));
}

/** Whether bytes are the chunk of a slot. */
export function isChunk(slot: ChunkSlot, bytes: Uint8Array): boolean {
  return bytes.length === slot.size && equalBytes(hash("sha256", bytes, "buffer"), slot.digest);
}

/** Writes bytes that were verified, and the zeros behind them. */
export async function writeSlot(data: OpenedFile, slot: ChunkSlot, bytes: Uint8Array): Promise<void> {
  const size = slot.size + slot.padding;
  for (let done = 0; done < size;) {
    done += await data.write(partsFrom(slot, bytes, done), slot.place + done);
  }
}

/**
 * Verifies a chunk and writes it to an open data file, on any thread. The layer then must be told with
 * `Layer.acceptChunk()`, in the process that has the store open.
 *
 * @throws {EsgzError} `SIZE_MISMATCH`, `DIGEST_MISMATCH`; system errors as they are.
 */
export function writeChunkSync(fd: number, slot: ChunkSlot, bytes: Uint8Array): void {
  verifyChunk(slot, bytes);
  const size = slot.size + slot.padding;
  for (let done = 0; done < size;) {
    done += writevSync(fd, partsFrom(slot, bytes, done), slot.place + done);
  }
}

/** Whether what lies in a data file is the chunk of the slot, with its zeros. */
export async function isStored(data: OpenedFile, slot: ChunkSlot): Promise<boolean> {
  const sum = createHash("sha256");
  const buffer = new Uint8Array(Math.min(PIECE, slot.size + slot.padding));
  for (let done = 0; done < slot.size;) {
    const size = Math.min(buffer.length, slot.size - done);
    const count = await data.read(buffer.subarray(0, size), slot.place + done);
    if (count === 0) return false;
    sum.update(buffer.subarray(0, count));
    done += count;
  }
  return equalBytes(sum.digest(), slot.digest) && (await isPaddingZero(data, slot));
}

/** As {@linkcode isStored}, for a chunk that must be known at once. */
export function isStoredSync(fd: number, slot: ChunkSlot): boolean {
  const bytes = new Uint8Array(slot.size + slot.padding);
  for (let done = 0; done < bytes.length;) {
    const count = readSync(fd, bytes, done, bytes.length - done, slot.place + done);
    if (count === 0) return false;
    done += count;
  }
  return isChunk(slot, bytes.subarray(0, slot.size)) && bytes.subarray(slot.size).every((byte) => byte === 0);
}

async function isPaddingZero(data: OpenedFile, slot: ChunkSlot): Promise<boolean> {
  const buffer = new Uint8Array(slot.padding);
  const count = await data.read(buffer, slot.place + slot.size);
  return count === slot.padding && buffer.every((byte) => byte === 0);
}

function partsFrom(slot: ChunkSlot, bytes: Uint8Array, done: number): Uint8Array[] {
  const zeros = ZEROS.subarray(0, slot.padding - Math.max(0, done - slot.size));
  const rest = bytes.subarray(Math.min(done, bytes.length));
  return [rest, zeros].filter((part) => part.length > 0);
}

function digestText(raw: Uint8Array): Digest {
  return `sha256:${encodeHex(raw)}`;
}
