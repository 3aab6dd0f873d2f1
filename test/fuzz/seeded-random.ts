/**
 * Random numbers that a seed repeats exactly.
 *
 * @module
 */

/** A generator (splitmix32): fast, and good enough to choose mutations. */
export class SeededRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
    // Neighbouring seeds must not give neighbouring numbers.
    for (let i = 0; i < 4; i += 1) this.uint32();
  }

  /** 0 to 2^32 - 1. */
  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }

  /** 0 to `limit` - 1. */
  below(limit: number): number {
    return limit <= 1 ? 0 : this.uint32() % limit;
  }

  /** Whether an event of the given probability happens. */
  chance(probability: number): boolean {
    return this.uint32() < probability * 2 ** 32;
  }

  /** One of the values. */
  pick<T>(values: readonly [T, ...T[]]): T {
    return values[this.below(values.length)] ?? values[0];
  }
}
