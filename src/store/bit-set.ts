/**
 * A set of small whole numbers that several threads can read while one changes it.
 *
 * @module
 */

/** Number `n` is bit `n % 8` (from the least significant) of byte `n / 8`. */
export class BitSet {
  /** How many numbers it can hold: `0` to `size - 1`. */
  readonly size: number;
  /** The bits, in a `SharedArrayBuffer`. Bits behind `size` are 0. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  #count = 0;

  constructor(size: number) {
    this.size = size;
    this.bytes = new Uint8Array(new SharedArrayBuffer(Math.ceil(size / 8)));
  }

  /** How many numbers are in the set. */
  get count(): number {
    return this.#count;
  }

  /** Whether a number below `size` is in the set. */
  has(index: number): boolean {
    return (Atomics.load(this.bytes, index >>> 3) & (1 << (index & 7))) !== 0;
  }

  /** Adds a number; false if it was there. */
  add(index: number): boolean {
    const bit = 1 << (index & 7);
    if ((Atomics.or(this.bytes, index >>> 3, bit) & bit) !== 0) return false;
    this.#count += 1;
    return true;
  }

  /** Removes a number; false if it was not there. */
  delete(index: number): boolean {
    const bit = 1 << (index & 7);
    if ((Atomics.and(this.bytes, index >>> 3, ~bit & 0xff) & bit) === 0) return false;
    this.#count -= 1;
    return true;
  }

  /** Whether the numbers from `first` up to, not including, `end` are all in the set. */
  hasRange(first: number, end: number): boolean {
    for (let at = first; at < end;) {
      const whole = (at & 7) === 0 && end - at >= 8;
      if (whole ? Atomics.load(this.bytes, at >>> 3) !== 0xff : !this.has(at)) return false;
      at += whole ? 8 : 1;
    }
    return true;
  }

  /** Adds the numbers from `first` up to, not including, `end`. */
  addRange(first: number, end: number): void {
    for (let at = first; at < end;) {
      if ((at & 7) === 0 && end - at >= 8 && Atomics.load(this.bytes, at >>> 3) === 0) {
        Atomics.store(this.bytes, at >>> 3, 0xff);
        this.#count += 8;
        at += 8;
      } else {
        this.add(at);
        at += 1;
      }
    }
  }

  /** Removes all numbers. */
  clear(): void {
    for (let at = 0; at < this.bytes.length; at += 1) Atomics.store(this.bytes, at, 0);
    this.#count = 0;
  }

  /** The first number in the set from `from` on, or undefined. */
  next(from: number): number | undefined {
    for (let at = from; at < this.size;) {
      if ((at & 7) === 0 && Atomics.load(this.bytes, at >>> 3) === 0) at += 8;
      else if (this.has(at)) return at;
      else at += 1;
    }
    return undefined;
  }

  /** A copy of the bits in memory of its own. */
  toBytes(): Uint8Array {
    return Uint8Array.from(this.bytes);
  }

  /** Adds the numbers whose bits are set in `bytes`; bits behind `size` are ignored. */
  addBytes(bytes: Uint8Array): void {
    for (const [at, byte] of bytes.entries()) {
      for (let bit = 0; byte >> bit !== 0; bit += 1) {
        const index = at * 8 + bit;
        if (((byte >> bit) & 1) === 1 && index < this.size) this.add(index);
      }
    }
  }
}
