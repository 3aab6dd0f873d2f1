/**
 * Writes the fields of a FUSE message in order, the counterpart of `MessageReader`.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";

const WORD = 0x1_0000_0000;

/** Appends fields to a buffer that grows where it may. */
export class MessageWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #at = 0;

  /** Begins with room for `capacity` bytes. */
  constructor(capacity = 256) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = viewOf(this.#bytes);
  }

  /** The number of bytes written. */
  get size(): number {
    return this.#at;
  }

  /** Forgets what was written; the memory is used again, so earlier results of `written()` change. */
  reset(): void {
    this.#at = 0;
  }

  /** What was written: a view that is valid until the next `reset()` or write. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }

  u16(value: number): this {
    this.#check(value, 0, 0xffff);
    const at = this.#advance(2);
    this.#view.setUint16(at, value, true);
    return this;
  }

  /** @throws {EsgzError} `FUSE_INVALID` like all methods here, if the value does not fit its field. */
  u32(value: number): this {
    this.#check(value, 0, WORD - 1);
    const at = this.#advance(4);
    this.#view.setUint32(at, value, true);
    return this;
  }

  i32(value: number): this {
    this.#check(value, -0x8000_0000, 0x7fff_ffff);
    const at = this.#advance(4);
    this.#view.setInt32(at, value, true);
    return this;
  }

  u64(value: number): this {
    this.#check(value, 0, Number.MAX_SAFE_INTEGER);
    return this.#word64(value);
  }

  i64(value: number): this {
    this.#check(value, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    return this.#word64(value);
  }

  big64(value: bigint): this {
    const at = this.#advance(8);
    this.#view.setBigUint64(at, value, true);
    return this;
  }

  /** Zeros, for padding. */
  zeros(size: number): this {
    const at = this.#advance(size);
    this.#bytes.fill(0, at, at + size);
    return this;
  }

  /** Bytes as they are; copied. */
  bytes(bytes: Uint8Array): this {
    const at = this.#advance(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Bytes and a zero byte after them; they must hold none. */
  terminated(bytes: Uint8Array): this {
    if (bytes.includes(0)) throw misfit("a name without a zero byte", "one with it");
    return this.bytes(bytes).zeros(1);
  }

  /** Sets a 32-bit field written earlier. */
  patchU32(at: number, value: number): void {
    this.#view.setUint32(at, value, true);
  }

  #word64(value: number): this {
    const at = this.#advance(8);
    const high = Math.floor(value / WORD);
    this.#view.setUint32(at, value - high * WORD, true);
    this.#view.setInt32(at + 4, high, true);
    return this;
  }

  #advance(size: number): number {
    const at = this.#at;
    if (at + size > this.#bytes.length) this.#grow(at + size);
    this.#at = at + size;
    return at;
  }

  #grow(needed: number): void {
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = viewOf(larger);
  }

  #check(value: number, least: number, most: number): void {
    if (value >= least && value <= most && Number.isInteger(value)) return;
    throw misfit(`a whole number from ${least} to ${most}`, `${value}`);
  }
}

function misfit(wanted: string, found: string): EsgzError {
  return new EsgzError("FUSE_INVALID", `Cannot encode FUSE message: expected ${wanted}, got ${found}`);
}
