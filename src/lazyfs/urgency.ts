/**
 * Whether somebody waits for a piece of work that was begun for nobody.
 *
 * @module
 */

/** A share of something scarce. */
interface Share {
  release(): void;
}

/** Begins calm; may be raised, once and for good. */
export class Urgency {
  readonly #raised = Promise.withResolvers<undefined>();
  #isRaised = false;

  /** Whether it was raised. */
  get isRaised(): boolean {
    return this.#isRaised;
  }

  /** Resolves when it is raised, perhaps never. */
  get raised(): Promise<undefined> {
    return this.#raised.promise;
  }

  /** From now on somebody waits. Further calls do nothing. */
  raise(): void {
    this.#isRaised = true;
    this.#raised.resolve(undefined);
  }

  /**
   * Waits for a share as long as nobody waits for the work. Undefined if it is raised meanwhile: the share is not waited for
   * any more then, and given back if it comes all the same.
   *
   * @param acquire asks for the share, and stops at the signal's abort
   * @throws what `acquire` throws; the signal's reason
   */
  async waitCalmly<S extends Share>(
    acquire: (signal: AbortSignal) => Promise<S>,
    signal: AbortSignal,
  ): Promise<S | undefined> {
    const waiting = new AbortController();
    const acquiring = acquire(AbortSignal.any([signal, waiting.signal]));
    const share = await Promise.race([acquiring, this.#raised.promise]);
    if (share !== undefined) return share;
    waiting.abort();
    acquiring.then((late) => late.release()).catch(() => undefined);
    return undefined;
  }
}
