/**
 * Worker side: compressed members in, verified files out.
 *
 * @module
 */
import { hash } from "node:crypto";
import { closeSync, constants, ftruncateSync, openSync, writeSync } from "node:fs";
import { inflateMember } from "../estargz/index.ts";
import { algorithmOf, type Digest, digestMismatch, hexOf } from "../oci/index.ts";
import type { FetchTable } from "./fetch-table.ts";
import { digestOfPiece, type FileTable, metadataOf, pathBytesOf } from "./file-table.ts";
import { applyToFile, creationMode, type MetadataContext } from "./node-metadata.ts";
import type { RootPaths } from "./root-paths.ts";

/** What the functions here need. */
export interface WriteContext {
  readonly paths: RootPaths;
  readonly files: FileTable;
  readonly metadata: MetadataContext;
}

/** Compressed bytes of a layer and the members in them that are to be written. */
export interface BatchBytes {
  readonly bytes: Uint8Array;
  /** Where `bytes` begins in the blob. */
  readonly blobOffset: number;
  readonly compression: "gzip" | "zstd";
  /** Members `[from, to)` of the fetch table, all of them inside `bytes`. */
  readonly from: number;
  readonly to: number;
}

const CREATE: number = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const UPDATE: number = constants.O_WRONLY | constants.O_NOFOLLOW;

/**
 * Inflates, verifies and writes a batch. Files that it completes in one go get their metadata too.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `COMPRESSION_INVALID`; no byte of the chunk concerned is then on the disk.
 */
export function writeBatch(context: WriteContext, fetch: FetchTable, batch: BatchBytes): void {
  const open = new OpenFiles(context, fetch.whole);
  try {
    for (let member = batch.from; member < batch.to; member += 1)
      writeMember(context, fetch, { batch, member, open });
  } finally {
    open.closeAll();
  }
}

/** Makes files that hold no data (empty, or zeros throughout), with their metadata. */
export function createDataless(context: WriteContext, files: Uint32Array): void {
  for (const file of files) {
    const fd = createFile(context, file);
    try {
      finishFile(context, file, { fd, fresh: true });
    } finally {
      closeSync(fd);
    }
  }
}

/** Makes files that several batches will fill, at their full size. */
export function createShared(context: WriteContext, files: Uint32Array): void {
  for (const file of files) {
    const path = context.paths.of(pathBytesOf(context.files, file));
    const fd = openSync(path, CREATE, 0o600);
    try {
      ftruncateSync(fd, context.files.size[file] ?? 0);
    } finally {
      closeSync(fd);
    }
  }
}

/** Gives files that are filled their metadata. */
export function finishShared(context: WriteContext, files: Uint32Array): void {
  for (const file of files) {
    const fd = openSync(context.paths.of(pathBytesOf(context.files, file)), UPDATE);
    try {
      finishFile(context, file, { fd, fresh: false });
    } finally {
      closeSync(fd);
    }
  }
}

function writeMember(
  context: WriteContext,
  fetch: FetchTable,
  { batch, member, open }: { batch: BatchBytes; member: number; open: OpenFiles },
): void {
  const at = (fetch.memberOffset[member] ?? 0) - batch.blobOffset;
  const compressed = batch.bytes.subarray(at, at + (fetch.memberSize[member] ?? 0));
  const size = fetch.memberNeed[member] ?? 0;
  const content = inflateMember(compressed, { compression: batch.compression, size });
  for (let part = fetch.partStart[member] ?? 0; part < (fetch.partStart[member + 1] ?? 0); part += 1) {
    const offset = fetch.partOffset[part] ?? 0;
    const chunk = content.subarray(offset, offset + (fetch.partSize[part] ?? 0));
    writePart(context, fetch, { chunk, part, open });
  }
  freeNow(content);
}

function writePart(
  { files }: WriteContext,
  fetch: FetchTable,
  { chunk, part, open }: { chunk: Uint8Array; part: number; open: OpenFiles },
): void {
  const [from, to] = [fetch.targetStart[part] ?? 0, fetch.targetStart[part + 1] ?? 0];
  assertDigest(chunk, digestOfPiece(files, fetch.target[from] ?? 0));
  for (let target = from; target < to; target += 1) {
    const piece = fetch.target[target] ?? 0;
    const file = files.pieceFile[piece] ?? 0;
    writeFully(open.fdOf(file), chunk, files.pieceOffset[piece] ?? 0);
    files.present[piece] = 1;
    open.pieceWritten(file);
  }
}

/**
 * Frees what a member was inflated to. The collector would come by much later: to it, memory outside the heap weighs
 * little. Small arrays may be slices of node's pool and stay.
 */
function freeNow({ buffer }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength > Buffer.poolSize) buffer.transfer(0);
}

function assertDigest(chunk: Uint8Array, digest: Digest): void {
  const found = hash(algorithmOf(digest), chunk, "hex");
  if (found !== hexOf(digest)) throw digestMismatch("chunk", digest, `${algorithmOf(digest)}:${found}`);
}

function writeFully(fd: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length;) {
    done += writeSync(fd, bytes, done, bytes.length - done, offset + done);
  }
}

function createFile(context: WriteContext, file: number): number {
  const mode = creationMode(context.files.mode[file] ?? 0);
  return openSync(context.paths.of(pathBytesOf(context.files, file)), CREATE, mode);
}

function finishFile(
  context: WriteContext,
  file: number,
  { fd, fresh }: { fd: number; fresh: boolean },
): void {
  const { files } = context;
  const size = files.size[file] ?? 0;
  const lastPiece = (files.pieceStart[file + 1] ?? 0) - 1;
  const hasPieces = lastPiece >= (files.pieceStart[file] ?? 0);
  const written = hasPieces ? (files.pieceOffset[lastPiece] ?? 0) + (files.pieceSize[lastPiece] ?? 0) : 0;
  if (fresh && written < size) ftruncateSync(fd, size);
  applyToFile(fd, metadataOf(files, file), {
    path: pathBytesOf(files, file),
    fresh,
    context: context.metadata,
  });
}

/** The files that a batch is writing: whole ones until their last piece, of the others the latest. */
class OpenFiles {
  readonly #context: WriteContext;
  readonly #whole: Uint8Array;
  readonly #making = new Map<number, { readonly fd: number; missing: number }>();
  #shared: { readonly file: number; readonly fd: number } | undefined;

  constructor(context: WriteContext, whole: Uint8Array) {
    this.#context = context;
    this.#whole = whole;
  }

  fdOf(file: number): number {
    return this.#whole[file] === 1 ? this.#makingOf(file) : this.#sharedOf(file);
  }

  pieceWritten(file: number): void {
    const making = this.#making.get(file);
    if (making === undefined) return;
    making.missing -= 1;
    if (making.missing > 0) return;
    this.#making.delete(file);
    try {
      finishFile(this.#context, file, { fd: making.fd, fresh: true });
    } finally {
      closeSync(making.fd);
    }
  }

  closeAll(): void {
    if (this.#shared !== undefined) closeSync(this.#shared.fd);
    this.#shared = undefined;
    for (const { fd } of this.#making.values()) closeSync(fd);
    this.#making.clear();
  }

  #makingOf(file: number): number {
    const known = this.#making.get(file);
    if (known !== undefined) return known.fd;
    const { pieceStart } = this.#context.files;
    const fd = createFile(this.#context, file);
    this.#making.set(file, { fd, missing: (pieceStart[file + 1] ?? 0) - (pieceStart[file] ?? 0) });
    return fd;
  }

  #sharedOf(file: number): number {
    if (this.#shared?.file === file) return this.#shared.fd;
    if (this.#shared !== undefined) closeSync(this.#shared.fd);
    const fd = openSync(this.#context.paths.of(pathBytesOf(this.#context.files, file)), UPDATE);
    this.#shared = { file, fd };
    return fd;
  }
}
