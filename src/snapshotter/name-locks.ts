/**
 * Operations on one name come one after another; those on different names do not wait for each other.
 *
 * @module
 */

/** Locks by name. */
export class NameLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `work` while no other work holds any of these names. */
  async run<T>(names: readonly string[], work: () => Promise<T>): Promise<T> {
    // All places in the queues are taken in one turn, so no two can wait for each other.
    const unique = [...new Set(names)];
    const before = unique.flatMap((name) => this.#tails.get(name) ?? []);
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const name of unique) this.#tails.set(name, promise);
    await Promise.all(before);
    try {
      return await work();
    } finally {
      for (const name of unique) {
        if (this.#tails.get(name) === promise) this.#tails.delete(name);
      }
      resolve();
    }
  }
}
