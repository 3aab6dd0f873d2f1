/**
 * The chunks of one file, checked as they come: in file order, without gap or overlap, covering the file exactly.
 *
 * @module
 */
import type { Digest } from "../oci/index.ts";
import { limitExceeded, type EstargzLimits } from "./limits.ts";
import { invalidToc, quote, readDigest, readNumber, readText, type RawEntry } from "./toc-fields.ts";

/** A chunk that knows where its member begins, and where it ends only as far as the file's entry says. */
export interface LocatedChunk {
  readonly fileOffset: number;
  readonly size: number;
  digest?: Digest | undefined;
  readonly kind: "data" | "zeros";
  readonly blobOffset: number;
  /** At most the end of the payload; the start of the next member may be nearer. */
  blobEnd: number;
  readonly innerOffset: number;
}

/** The file whose chunks are gathered. */
export interface ChunkListOptions {
  readonly name: string;
  readonly size: number;
  /** The file's digest: also the chunk's, when there is but one. */
  readonly digest: Digest | undefined;
  readonly payloadSize: number;
  readonly limits: EstargzLimits;
}

/** Gathers the chunks of one non-empty file. */
export class ChunkListBuilder {
  readonly #file: ChunkListOptions;
  #first: LocatedChunk | undefined;
  /** Few files have any. */
  #others: LocatedChunk[] | undefined;
  #covered = 0;
  #lastData: LocatedChunk | undefined;

  constructor(file: ChunkListOptions) {
    this.#file = file;
  }

  /**
   * Adds the chunk that an entry describes.
   *
   * @throws {EsgzError} `TOC_INVALID`, `LIMIT_EXCEEDED`
   */
  add(raw: RawEntry): void {
    const { name, size, payloadSize } = this.#file;
    const fileOffset = raw.chunkOffset === undefined ? 0 : readNumber(raw, "chunkOffset");
    if (fileOffset !== this.#covered || fileOffset >= size) {
      throw invalidToc(name, `a chunk at ${this.#covered} of ${size}`, `one at ${fileOffset}`);
    }
    const length = raw.chunkSize === undefined ? 0 : readNumber(raw, "chunkSize");
    const chunkSize = length === 0 ? size - fileOffset : length;
    if (chunkSize > size - fileOffset) {
      throw invalidToc(name, `a chunk of at most ${size - fileOffset} bytes`, `${chunkSize}`);
    }
    const chunk: LocatedChunk = {
      fileOffset,
      size: chunkSize,
      digest: this.#digestOf(raw),
      kind: kindOf(raw, name),
      blobOffset: readNumber(raw, "offset"),
      blobEnd: payloadSize,
      innerOffset: raw.innerOffset === undefined ? 0 : readNumber(raw, "innerOffset"),
    };
    if (chunk.kind === "data") this.#checkData(chunk);
    if (this.#first === undefined) this.#first = chunk;
    else (this.#others ??= []).push(chunk);
    this.#covered += chunkSize;
  }

  /**
   * The chunks.
   *
   * @param endOffset where the file's last member ends; 0 if the TOC does not say
   * @throws {EsgzError} `TOC_INVALID` if they do not cover the file.
   */
  finish(endOffset: number): readonly LocatedChunk[] {
    const { name, size, digest, payloadSize } = this.#file;
    if (this.#covered !== size) throw invalidToc(name, `chunks for ${size} bytes`, `for ${this.#covered}`);
    const last = this.#lastData;
    if (endOffset !== 0 && last !== undefined) {
      if (endOffset <= last.blobOffset || endOffset > payloadSize) {
        throw invalidToc(name, `endOffset in (${last.blobOffset}, ${payloadSize}]`, `${endOffset}`);
      }
      last.blobEnd = endOffset;
    }
    const first = this.#first;
    if (first === undefined) return [];
    if (this.#others !== undefined) return [first, ...this.#others];
    if (first.kind === "data") first.digest ??= digest;
    return [first];
  }

  /** Of files with one chunk it is the file's: one text for both, since there may be a million of them. */
  #digestOf(raw: RawEntry): Digest | undefined {
    const { digest } = this.#file;
    return raw.chunkDigest === digest ? digest : readDigest(raw, "chunkDigest");
  }

  #checkData(chunk: LocatedChunk): void {
    const { name, payloadSize, limits } = this.#file;
    const { blobOffset, innerOffset, size } = chunk;
    if (size > limits.maxChunkSize) {
      throw limitExceeded(`TOC entry ${quote(name)}: chunk bytes`, limits.maxChunkSize, size);
    }
    if (innerOffset > limits.maxMemberSize - size) {
      const found = innerOffset + size;
      throw limitExceeded(`TOC entry ${quote(name)}: member bytes`, limits.maxMemberSize, found);
    }
    if (blobOffset >= payloadSize) {
      throw invalidToc(name, `an offset in front of ${payloadSize}`, `${blobOffset}`);
    }
    if (blobOffset === 0 && innerOffset === 0) throw invalidToc(name, "an offset of its content", "none");
    this.#checkOrder(chunk);
    this.#lastData = chunk;
  }

  #checkOrder(chunk: LocatedChunk): void {
    const last = this.#lastData;
    if (last === undefined || last.blobOffset < chunk.blobOffset) return;
    const follows = last.blobOffset === chunk.blobOffset && chunk.innerOffset >= last.innerOffset + last.size;
    if (follows) return;
    throw invalidToc(this.#file.name, "chunks in the order of the blob", `offset ${chunk.blobOffset}`);
  }
}

function kindOf(raw: RawEntry, name: string): "data" | "zeros" {
  const type = raw.chunkType === undefined ? "" : readText(raw, "chunkType");
  if (type === "") return "data";
  if (type === "zeros") return "zeros";
  throw invalidToc(name, 'chunkType to be absent or "zeros"', quote(type));
}
