/**
 * Directories that nobody needs any more, removed one after another while nobody waits.
 *
 * @module
 */

/** What removes one, and who hears of failures. */
export interface RemovalQueueOptions {
  readonly remove: (id: number) => Promise<void>;
  readonly onFailure: (id: number, error: unknown) => void;
}

/** Removals that failed stay for the next round. */
export class RemovalQueue {
  readonly #options: RemovalQueueOptions;
  readonly #pending = new Set<number>();
  readonly #failed = new Set<number>();
  #running: Promise<void> | undefined;

  constructor(options: RemovalQueueOptions) {
    this.#options = options;
  }

  /** Removes this soon. */
  add(id: number): void {
    this.#pending.add(id);
    this.#start();
  }

  /** Resolves when everything was tried; what failed before is tried once more. */
  async drain(): Promise<void> {
    for (const id of this.#failed) this.#pending.add(id);
    this.#failed.clear();
    this.#start();
    await this.#running;
  }

  /** Lets the removal that is under way end; the others are found again at the next start. */
  async stop(): Promise<void> {
    this.#pending.clear();
    this.#failed.clear();
    await this.#running;
  }

  #start(): void {
    if (this.#pending.size === 0) return;
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    for (const id of this.#pending) {
      this.#pending.delete(id);
      try {
        await this.#options.remove(id);
      } catch (error) {
        this.#failed.add(id);
        this.#options.onFailure(id, error);
      }
    }
    // In the turn of the last look: what is added later starts anew.
    this.#running = undefined;
  }
}
