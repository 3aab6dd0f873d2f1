/**
 * Looking out for what comes next, for a moment, before a thread sleeps.
 *
 * To put a processor to sleep and to wake it takes longer than most answers: of a virtual machine, tens of microseconds. Who reads
 * file after file asks again long before that.
 *
 * @module
 */

/** About what it costs to sleep and be woken, for both sides: a look costs no more than it may save. */
const LOOK_MS = 0.06;
/** Who comes quickly is late now and then; so many times in a row means that others come. */
const PATIENCE = 3;
/** Sleeps before the next look then. */
const REST = 16;
/** What is waited for beside it gets its turn after so many that were found. */
const FOUND_A_SLEEP = 16;

/** Decides when a thread looks out, and for how long. */
export class Lookout {
  readonly #nowMs: () => number;
  #resting = 0;
  #failures = 0;
  #found = 0;

  /** @param nowMs a clock that is cheap to ask, milliseconds */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /** Calls `look` until it finds something; undefined if it is time to sleep. */
  watch<T>(look: () => T | undefined): T | undefined {
    const found = this.#mayLook() ? this.#lookFor(look) : undefined;
    this.#found = found === undefined ? 0 : this.#found + 1;
    return found;
  }

  #mayLook(): boolean {
    if (this.#resting === 0) return this.#found < FOUND_A_SLEEP;
    this.#resting -= 1;
    return false;
  }

  #lookFor<T>(look: () => T | undefined): T | undefined {
    const untilMs = this.#nowMs() + LOOK_MS;
    do {
      const found = look();
      if (found !== undefined) {
        this.#failures = 0;
        return found;
      }
    } while (this.#nowMs() < untilMs);
    this.#failures += 1;
    if (this.#failures >= PATIENCE) this.#resting = REST;
    return undefined;
  }
}
