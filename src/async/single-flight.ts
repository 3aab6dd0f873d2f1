/**
 * Work that several callers want is done once.
 *
 * @module
 */

/** Joins concurrent calls with the same key; results are not kept after they settle. */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Promise<V>>();

  /** The number of calls under way. */
  get size(): number {
    return this.#flights.size;
  }

  /** Runs `work`, or joins the run that is under way for this key. */
  run(key: K, work: () => Promise<V>): Promise<V> {
    const current = this.#flights.get(key);
    if (current !== undefined) return current;
    const flight = work().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }
}
