/**
 * Where a zstd frame ends, without decompressing it.
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | magic fd2fb528, or 184d2a50 to 184d2a5f for a skippable frame |
 * | 4 + n | skippable frame only: length, then that many bytes |
 * | 1 | descriptor: bits 0-1 dictionary id, 2 checksum, 5 single segment, 6-7 content size |
 * | 0 or 1 | window, absent in a single segment |
 * | 0, 1, 2 or 4 | dictionary id |
 * | 0, 1, 2, 4 or 8 | content size |
 * | 3 + n | each block: bit 0 last, bits 1-2 type, the rest its size |
 * | 0 or 4 | checksum |
 *
 * Source: RFC 8878, section 3.1; all numbers little-endian.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { compressionInvalid } from "./zlib-stream.ts";

/** No block decompresses to more. */
export const MAX_BLOCK_BYTES: number = 128 << 10;

const MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
const DICTIONARY_BYTES = [0, 1, 2, 4];
const CONTENT_SIZE_BYTES = [0, 2, 4, 8];

type Field =
  "magic" | "skip-length" | "skip" | "descriptor" | "header" | "block" | "body" | "checksum" | "end";

/** Follows one frame through pieces of any size. */
export class ZstdFrameScanner {
  #field: Field = "magic";
  #missing = 4;
  #seen = new Uint8Array(4);
  #seenSize = 0;
  #lastBlock = false;
  #checksum = false;
  #skippable = false;
  #blocks = 0;

  /** Whether the frame's last byte was seen. */
  get ended(): boolean {
    return this.#field === "end";
  }

  /** Whether the frame is one that holds no content. Known from its fifth byte on. */
  get skippable(): boolean {
    return this.#skippable;
  }

  /** The blocks seen so far: each decompresses to at most {@linkcode MAX_BLOCK_BYTES}. */
  get blocks(): number {
    return this.#blocks;
  }

  /**
   * Takes bytes of the frame from `from` on and returns the place behind the last one that belongs to it.
   *
   * @throws {EsgzError} `COMPRESSION_INVALID`
   */
  scan(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length && this.#field !== "end") {
      const taken = Math.min(this.#missing, bytes.length - at);
      if (this.#keeps()) {
        this.#seen.set(bytes.subarray(at, at + taken), this.#seenSize);
        this.#seenSize += taken;
      }
      at += taken;
      this.#missing -= taken;
      while (this.#missing === 0 && !this.ended) this.#advance();
    }
    return at;
  }

  #keeps(): boolean {
    return (
      this.#field !== "skip" &&
      this.#field !== "header" &&
      this.#field !== "body" &&
      this.#field !== "checksum"
    );
  }

  #enter(field: Field, size: number): void {
    this.#field = field;
    this.#missing = size;
    this.#seenSize = 0;
    this.#seen.fill(0);
  }

  #advance(): void {
    const number = viewOf(this.#seen).getUint32(0, true);
    switch (this.#field) {
      case "magic":
        this.#enterFrame(number);
        return;
      case "skip-length":
        this.#enter("skip", number);
        return;
      case "descriptor":
        this.#enterHeader(number);
        return;
      case "header":
        this.#enter("block", 3);
        return;
      case "block":
        this.#enterBlock(number);
        return;
      case "body":
        if (!this.#lastBlock) this.#enter("block", 3);
        else if (this.#checksum) this.#enter("checksum", 4);
        else this.#enter("end", 0);
        return;
      case "skip":
      case "checksum":
      case "end":
        this.#enter("end", 0);
    }
  }

  #enterFrame(magic: number): void {
    this.#skippable = (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
    if (this.#skippable) this.#enter("skip-length", 4);
    else if (magic === MAGIC) this.#enter("descriptor", 1);
    else throw compressionInvalid("expected a zstd frame");
  }

  #enterHeader(descriptor: number): void {
    const single = (descriptor & 0x20) !== 0;
    this.#checksum = (descriptor & 0x04) !== 0;
    const sizeFlag = descriptor >> 6;
    const contentSize = sizeFlag === 0 && single ? 1 : (CONTENT_SIZE_BYTES[sizeFlag] ?? 0);
    this.#enter("header", (single ? 0 : 1) + (DICTIONARY_BYTES[descriptor & 3] ?? 0) + contentSize);
  }

  #enterBlock(header: number): void {
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3) throw compressionInvalid("a zstd block has a reserved type");
    this.#lastBlock = (header & 1) !== 0;
    this.#blocks += 1;
    this.#enter("body", type === 1 ? 1 : size);
  }
}
