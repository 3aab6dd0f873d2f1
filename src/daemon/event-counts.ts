/**
 * Counts of what happened, by name.
 *
 * @module
 */

/** Counters that only grow. */
export class EventCounts {
  readonly #counts = new Map<string, number>();

  /** Counts one. */
  note(name: string): void {
    this.add(name, 1);
  }

  /** Adds to a sum. */
  add(name: string, amount: number): void {
    this.#counts.set(name, this.get(name) + amount);
  }

  /** 0 if nothing was counted. */
  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }
}
