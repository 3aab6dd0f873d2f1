/**
 * Work on one thing comes one after another; work on different things does not wait for each other.
 *
 * @module
 */

/** Locks by key. */
export class KeyLocks<K> {
  readonly #tails = new Map<K, Promise<void>>();

  /** Runs `work` while no other work holds any of these keys. In order of the calls. */
  async run<T>(keys: readonly K[], work: () => Promise<T>): Promise<T> {
    // All places in the queues are taken in one turn, so no two can wait for each other.
    const unique = [...new Set(keys)];
    const before = unique.flatMap((key) => this.#tails.get(key) ?? []);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const key of unique) this.#tails.set(key, promise);
    await Promise.all(before);
    try {
      return await work();
    } finally {
      for (const key of unique) {
        if (this.#tails.get(key) === promise) this.#tails.delete(key);
      }
      resolve();
    }
  }

  /** Whether work holds or waits for a key: `run()` would wait. */
  isBusy(key: K): boolean {
    return this.#tails.has(key);
  }

  /** Resolves when no work holds or waits for any key. */
  async settled(): Promise<void> {
    while (this.#tails.size > 0) await Promise.all(this.#tails.values());
  }
}
