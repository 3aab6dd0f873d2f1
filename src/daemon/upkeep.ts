/**
 * What a server does for its store now and then.
 *
 * @module
 */
import { messageOf } from "../errors/index.ts";
import type { Services } from "./services.ts";
import { trimMemory } from "./trim-memory.ts";

/** Timers and work in the background, until it is disposed. */
export class Upkeep implements AsyncDisposable {
  readonly #services: Services;
  readonly #ending = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #reverified: Promise<void> = Promise.resolve();
  #checkpoint: Promise<void> = Promise.resolve();
  #fetchedBytes = 0;
  #served = 0;
  #isTrimmed = false;

  /** @param served the number of requests that were answered: while nothing happens, nothing is written. */
  constructor(services: Services, served: () => number) {
    this.#services = services;
    this.#timer = setInterval(() => this.#checkpointIfChanged(served()), services.config.checkpointMs);
    this.#timer.unref();
  }

  /** Verifies, after an unclean end, what lies in the store, before somebody waits for it. */
  beginReverifying(): void {
    this.#reverified = this.#reverify();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#ending.abort();
    await Promise.all([this.#reverified, this.#checkpoint]);
  }

  async #reverify(): Promise<void> {
    const { store, log } = this.#services;
    try {
      const report = await store.reverify({ signal: this.#ending.signal });
      if (report.kept + report.dropped + report.damaged.length > 0)
        log.warn(report, "verified the store anew");
    } catch (error) {
      if (!this.#ending.signal.aborted) log.error({ err: error }, "cannot verify the store");
    }
  }

  #checkpointIfChanged(served: number): void {
    const { fetchedBytes } = this.#services.fetcher.statistics();
    if (fetchedBytes === this.#fetchedBytes && served === this.#served) {
      this.#trimOnce();
      return;
    }
    [this.#fetchedBytes, this.#served] = [fetchedBytes, served];
    this.#isTrimmed = false;
    this.#checkpoint = this.#services.store
      .checkpoint()
      .catch((error: unknown) =>
        this.#services.log.error({ reason: messageOf(error) }, "cannot checkpoint the store"),
      );
  }

  /** When nothing has happened for a while, until something does. */
  #trimOnce(): void {
    if (this.#isTrimmed) return;
    this.#isTrimmed = true;
    this.#services.log.debug({ bytes: trimMemory() }, "gave back memory");
  }
}
