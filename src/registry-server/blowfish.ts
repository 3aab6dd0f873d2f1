/**
 * The Blowfish cipher, as far as bcrypt needs it.
 *
 * ```
 * state     words   initially
 * P            18   the first 18 words (32 bits each) of the fraction of pi
 * S0..S3  4 x 256   the words that follow
 * ```
 *
 * Source: B. Schneier, "Description of a New Variable-Length Key, 64-Bit Block Cipher (Blowfish)", 1993.
 *
 * @module
 */

const ROUNDS = 16;
const P_WORDS = ROUNDS + 2;
const S_WORDS = 4 * 256;

/** A Blowfish key schedule that can be mixed further, and the cipher under it. */
export class Blowfish {
  readonly #p: Uint32Array;
  readonly #s: Uint32Array;
  /** The block that {@linkcode Blowfish.encipher} works on. */
  left = 0;
  right = 0;

  constructor() {
    const words = initialWords();
    this.#p = words.slice(0, P_WORDS);
    this.#s = words.slice(P_WORDS);
  }

  /** Mixes key bytes (repeated as needed) into the state; `salt` is 16 bytes, or absent for zeros. */
  expandKey(key: Uint8Array, salt?: Uint8Array): void {
    const saltWords = wordsOf(salt ?? new Uint8Array(16), 4);
    wordsOf(key, P_WORDS).forEach((word, at) => {
      this.#p[at] = (this.#p[at] ?? 0) ^ word;
    });
    this.left = 0;
    this.right = 0;
    for (const [table, base] of [
      [this.#p, 0],
      [this.#s, P_WORDS],
    ] as const) {
      for (let at = 0; at < table.length; at += 2) {
        const half = (base + at) & 2;
        this.left ^= saltWords[half] ?? 0;
        this.right ^= saltWords[half + 1] ?? 0;
        this.encipher();
        table[at] = this.left;
        table[at + 1] = this.right;
      }
    }
  }

  /** Enciphers the block in `left` and `right`. */
  encipher(): void {
    const p = this.#p;
    const s = this.#s;
    let left = this.left ^ (p[0] ?? 0);
    let right = this.right;
    for (let round = 1; round <= ROUNDS; round += 2) {
      right ^= mix(s, left) ^ (p[round] ?? 0);
      left ^= mix(s, right) ^ (p[round + 1] ?? 0);
    }
    this.left = right ^ (p[P_WORDS - 1] ?? 0);
    this.right = left;
  }
}

function mix(s: Uint32Array, word: number): number {
  const a = s[word >>> 24] ?? 0;
  const b = s[256 + ((word >>> 16) & 0xff)] ?? 0;
  const c = s[512 + ((word >>> 8) & 0xff)] ?? 0;
  const d = s[768 + (word & 0xff)] ?? 0;
  return (((a + b) ^ c) + d) | 0;
}

/** Big-endian words of bytes that repeat. */
function wordsOf(bytes: Uint8Array, count: number): Uint32Array {
  const words = new Uint32Array(count);
  for (let at = 0; at < count * 4; at += 1) {
    words[at >> 2] = ((words[at >> 2] ?? 0) << 8) | (bytes[at % bytes.length] ?? 0);
  }
  return words;
}

let cachedWords: Uint32Array | undefined;

/** The fraction of pi as words, computed rather than listed: about 10 ms, once. */
function initialWords(): Uint32Array {
  cachedWords ??= fractionOfPi(P_WORDS + S_WORDS);
  return cachedWords;
}

/** Machin's formula in fixed point: pi = 16 arctan(1/5) - 4 arctan(1/239). */
function fractionOfPi(count: number): Uint32Array {
  const guardBits = 64n;
  const bits = BigInt(count) * 32n;
  const one = 1n << (bits + guardBits);
  const pi = 16n * arctanOfInverse(5n, one) - 4n * arctanOfInverse(239n, one);
  const fraction = (pi - 3n * one) >> guardBits;
  const hex = fraction.toString(16).padStart(count * 8, "0");
  return Uint32Array.from({ length: count }, (_, at) => Number.parseInt(hex.slice(at * 8, at * 8 + 8), 16));
}

function arctanOfInverse(x: bigint, one: bigint): bigint {
  const square = x * x;
  let power = one / x;
  let sum = power;
  for (let divisor = 3n, sign = -1n; power !== 0n; divisor += 2n, sign = -sign) {
    power /= square;
    sum += (sign * power) / divisor;
  }
  return sum;
}
