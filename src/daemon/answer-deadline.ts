/**
 * How long a registry may think about what a name stands for.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** Aborts its signal unless the answer comes in time. Disposing it, as an answer, ends the wait for good. */
export class AnswerDeadline implements Disposable {
  readonly #passing = new AbortController();
  readonly #timer: NodeJS.Timeout | undefined;

  /**
   * @param reference what was asked for, for people
   * @param ms milliseconds; undefined: as long as it takes
   */
  constructor(reference: string, ms: number | undefined) {
    if (ms === undefined) return;
    const pass = (): void =>
      this.#passing.abort(
        new EsgzError(
          "TIMED_OUT",
          `Cannot resolve "${reference}": expected an answer of its registry within ${ms / 1000} s, got none`,
        ),
      );
    this.#timer = setTimeout(pass, ms);
  }

  /** Aborted with `TIMED_OUT` when no answer came in time. */
  get signal(): AbortSignal {
    return this.#passing.signal;
  }

  /** The answer is there. */
  met(): void {
    clearTimeout(this.#timer);
  }

  [Symbol.dispose](): void {
    this.met();
  }
}
