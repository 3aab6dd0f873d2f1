/**
 * How long to wait before a server that died is started again.
 *
 * @module
 */

/** A server that served this long was not the cause of its own death. */
const STEADY_MS = 500;
const FIRST_DELAY_MS = 100;
const MAX_DELAY_MS = 5000;

/** Counts deaths in a row. */
export class RespawnDelay {
  #early = 0;

  /**
   * The pause before the next start, in milliseconds: none at first, since readers wait.
   *
   * @param servedMs how long the dead server had served; undefined if it was never ready.
   */
  afterDeath(servedMs: number | undefined): number {
    if (servedMs !== undefined && servedMs >= STEADY_MS) this.#early = 0;
    else this.#early += 1;
    return this.#early < 2 ? 0 : Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** (this.#early - 2));
  }
}
