/**
 * Ends what nobody needs.
 *
 * @module
 */

/** What to look at. */
export interface IdleWatchOptions {
  readonly idleMs: number;
  /** Whether something is going on, or stands. */
  readonly isBusy: () => boolean;
  /** Called once. */
  readonly onIdle: () => void;
}

/** Waits until nothing has gone on for a while. */
export class IdleWatch implements Disposable {
  readonly #options: IdleWatchOptions;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: IdleWatchOptions) {
    this.#options = options;
    this.touch();
  }

  /** Whether it waits no more: nobody was there for long enough, or it was disposed of. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Something has happened: the wait begins anew. */
  touch(): void {
    if (this.#isOver) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#look(), this.#options.idleMs);
    this.#timer.unref();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
  }

  #look(): void {
    if (this.#options.isBusy()) {
      this.touch();
      return;
    }
    this[Symbol.dispose]();
    this.#options.onIdle();
  }
}
