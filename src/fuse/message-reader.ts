/**
 * Reads the fields of a FUSE message in the order in which they lie.
 *
 * All numbers are little-endian: FUSE uses the byte order of the machine, and all machines that Node runs Linux on
 * have this one.
 *
 * @module
 */
import { viewOf } from "../bytes/index.ts";
import { EsgzError } from "../errors/index.ts";

const WORD = 0x1_0000_0000;

/** A cursor over the bytes of one message. Arrays it gives out are views of those bytes. */
export class MessageReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #at = 0;

  /** `what` names the message in errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#what = what;
  }

  /** The number of bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** @throws {EsgzError} `FUSE_INVALID` like all methods here, if the message ends before the field does. */
  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#advance(4), true);
  }

  /** An unsigned 64-bit field that must fit a safe integer. */
  u64(): number {
    const at = this.#advance(8);
    const high = this.#view.getUint32(at + 4, true);
    if (high >= 0x20_0000) throw this.#invalid("a number below 2^53", `${this.#view.getBigUint64(at, true)}`);
    return high * WORD + this.#view.getUint32(at, true);
  }

  /** A signed 64-bit field that must fit a safe integer. */
  i64(): number {
    const at = this.#advance(8);
    const high = this.#view.getInt32(at + 4, true);
    const value = high * WORD + this.#view.getUint32(at, true);
    if (!Number.isSafeInteger(value)) {
      throw this.#invalid("a number between -2^53 and 2^53", `${this.#view.getBigInt64(at, true)}`);
    }
    return value;
  }

  /** An unsigned 64-bit field with all its bits. */
  big64(): bigint {
    return this.#view.getBigUint64(this.#advance(8), true);
  }

  /** Passes over bytes that have no meaning. */
  skip(size: number): void {
    this.#advance(size);
  }

  /** The next `size` bytes. */
  bytes(size: number): Uint8Array {
    const at = this.#advance(size);
    return this.#bytes.subarray(at, at + size);
  }

  /** All bytes that are left. */
  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  /** The bytes up to the next zero byte, which is passed over. */
  terminated(): Uint8Array {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw this.#invalid("text that ends with a zero byte", "none");
    const text = this.#bytes.subarray(this.#at, end);
    this.#at = end + 1;
    return text;
  }

  /** Checks that nothing is left. */
  end(): void {
    if (this.remaining > 0) throw this.#invalid("the end of the message", `${this.remaining} more bytes`);
  }

  #advance(size: number): number {
    const at = this.#at;
    if (size > this.#bytes.length - at) {
      throw this.#invalid(`${size} bytes at offset ${at}`, `a message of ${this.#bytes.length} bytes`);
    }
    this.#at = at + size;
    return at;
  }

  #invalid(wanted: string, found: string): EsgzError {
    return new EsgzError(
      "FUSE_INVALID",
      `Cannot decode FUSE message "${this.#what}": expected ${wanted}, got ${found}`,
    );
  }
}
