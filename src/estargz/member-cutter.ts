/**
 * Cuts a tar stream into the members of a seekable layer.
 *
 *     member 0   headers in front of the first content
 *     member 1   content of a file (or a chunk of it), its padding, the headers that follow
 *     member 2   the next content, ...
 *
 * A member begins at each piece of content; with a minimum size, only where the member before has that many bytes of
 * content. Sizes are uncompressed ones, so where members begin depends on the tar alone.
 *
 * @module
 */
import { createHash, hash, type Hash } from "node:crypto";
import { concatBytes } from "../bytes/index.ts";
import type { ChunkRecord, FileRecord, MemberPlace } from "./toc-records.ts";

/** How a {@link MemberCutter} cuts. */
export interface MemberCutterOptions {
  readonly chunkSize: number;
  /** Uncompressed bytes of content that a member has at least, before the next begins; 0 for a member per chunk. */
  readonly minChunkSize: number;
  /** Takes a finished member. Its content is the taker's alone if `isOwned`. */
  readonly onMember: (content: Uint8Array, place: MemberPlace, isOwned: boolean) => void;
}

/** Runs of headers are cut at this size, to bound memory: a member of its own, which no chunk begins. */
const MAX_HEADER_RUN = 4 * 1024 * 1024;

interface OpenChunk {
  readonly record: ChunkRecord;
  readonly file: FileRecord;
}

/** A file whose content is being written. */
interface OpenFile {
  readonly record: FileRecord;
  readonly size: number;
  /** Bytes of content that came. */
  written: number;
  /** Bytes of the chunk that are still to come. */
  chunkLeft: number;
}

/** Cuts members, records chunks, and hashes both and the whole. */
export class MemberCutter {
  readonly #options: MemberCutterOptions;
  readonly #diffHash: Hash = createHash("sha256");
  readonly #fileHashes = new Map<FileRecord, Hash>();
  #parts: Uint8Array[] = [];
  #size = 0;
  #contentSize = 0;
  #place: MemberPlace = { blobOffset: 0, blobEnd: 0 };
  #chunks: OpenChunk[] = [];
  #file: OpenFile | undefined;
  #isSealed = false;
  #cutSize = 0;

  constructor(options: MemberCutterOptions) {
    this.#options = options;
  }

  /** Uncompressed bytes of all members that are finished. */
  get cutSize(): number {
    return this.#cutSize;
  }

  /** Content that the last file still lacks. */
  get missing(): number {
    return this.#file === undefined ? 0 : this.#file.size - this.#file.written;
  }

  /** Appends bytes that are no file's content: headers, padding, the end of the archive. */
  append(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const headers = this.#size - this.#contentSize;
    if (headers > 0 && headers + bytes.length > MAX_HEADER_RUN) this.cut();
    this.#push(bytes);
  }

  /** Begins the content of a file of `size` bytes, at least 1. */
  beginFile(record: FileRecord, size: number): void {
    this.#file = { record, size, written: 0, chunkLeft: 0 };
  }

  /** Appends content of the file. Bytes beyond its size are the caller's mistake and ignored. */
  appendContent(bytes: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) return;
    for (let at = 0; at < bytes.length && file.written < file.size;) {
      if (file.chunkLeft === 0) this.#beginChunk(file);
      const part = bytes.subarray(at, at + file.chunkLeft);
      this.#push(part);
      this.#contentSize += part.length;
      file.written += part.length;
      file.chunkLeft -= part.length;
      at += part.length;
    }
  }

  /** Makes the next content begin a member, whatever the minimum size. */
  seal(): void {
    this.#isSealed = true;
  }

  /** Finishes the member under way, if it has any bytes. */
  cut(): void {
    if (this.#size === 0) return;
    const content = concatBytes(this.#parts);
    this.#diffHash.update(content);
    for (const chunk of this.#chunks) this.#finishChunk(chunk, content);
    this.#cutSize += content.length;
    // One part is not copied, and may be a view of memory that others use.
    this.#options.onMember(content, this.#place, this.#parts.length > 1);
    this.#place = { blobOffset: 0, blobEnd: 0 };
    this.#parts = [];
    this.#chunks = [];
    this.#size = 0;
    this.#contentSize = 0;
    this.#isSealed = false;
  }

  /** Takes bytes of the decompressed blob that are in no member of the cutter's into the diff id. */
  hashBeyond(bytes: Uint8Array): void {
    this.#diffHash.update(bytes);
    this.#cutSize += bytes.length;
  }

  /** The hex digest of all bytes. Only once. */
  digest(): string {
    return this.#diffHash.digest("hex");
  }

  #push(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#size += bytes.length;
  }

  #beginChunk(file: OpenFile): void {
    const { chunkSize, minChunkSize } = this.#options;
    const joins = !this.#isSealed && this.#contentSize > 0 && this.#contentSize < minChunkSize;
    if (!joins) this.cut();
    const record: ChunkRecord = {
      fileOffset: file.written,
      size: Math.min(chunkSize, file.size - file.written),
      place: this.#place,
      innerOffset: this.#size,
      digest: undefined,
    };
    file.chunkLeft = record.size;
    file.record.chunks.push(record);
    this.#chunks.push({ record, file: file.record });
  }

  #finishChunk({ record, file }: OpenChunk, content: Uint8Array): void {
    const bytes = content.subarray(record.innerOffset, record.innerOffset + record.size);
    record.digest = `sha256:${hash("sha256", bytes, "hex")}`;
    const { size } = file.metadata;
    if (record.size === size) {
      file.digest = record.digest;
      return;
    }
    const fileHash = this.#fileHashes.get(file) ?? createHash("sha256");
    fileHash.update(bytes);
    if (record.fileOffset + record.size < size) this.#fileHashes.set(file, fileHash);
    else {
      this.#fileHashes.delete(file);
      file.digest = `sha256:${fileHash.digest("hex")}`;
    }
  }
}
