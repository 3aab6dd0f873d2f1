/**
 * When a daemon practises: once, if it has been left alone for a while after its start. What comes first is served instead, and
 * is practice enough.
 *
 * @module
 */
import { join } from "node:path";
import type { Services } from "./services.ts";

/** Whoever starts a daemon for a command of theirs asks for something within this time. */
const ALONE_MS = 1000;
/** A directory of the store for the while. */
const PLACE = "practice";

/** Practises until somebody comes. Disposing ends it. */
export class Practice implements Disposable {
  readonly #services: Services;
  readonly #isBusy: () => boolean;
  readonly #ending = new AbortController();
  #timer: NodeJS.Timeout;
  #hasBegun = false;

  /** @param isBusy whether somebody is being served now */
  constructor(services: Services, isBusy: () => boolean) {
    this.#services = services;
    this.#isBusy = isBusy;
    this.#timer = this.#wait();
  }

  /** Somebody asks for something: what goes on ends soon, what has not begun waits. */
  stepAside(): void {
    clearTimeout(this.#timer);
    if (this.#hasBegun) this.#ending.abort();
    else this.#timer = this.#wait();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#ending.abort();
  }

  #wait(): NodeJS.Timeout {
    const timer = setTimeout(() => void this.#begin(), ALONE_MS);
    timer.unref();
    return timer;
  }

  async #begin(): Promise<void> {
    if (this.#isBusy()) {
      this.#timer = this.#wait();
      return;
    }
    const { clients, log } = this.#services;
    // Images were asked for, by whatever way: all code that matters has run.
    if (clients.traffic.requests > 0) return;
    this.#hasBegun = true;
    const { signal } = this.#ending;
    try {
      await practise(this.#services, signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "practice failed");
    }
  }
}

async function practise(
  { store, views, clients, fetcher, preparation }: Services,
  signal: AbortSignal,
): Promise<void> {
  // What a machine cannot do is said when somebody asks for it.
  await views.warm().catch(() => undefined);
  await clients.clientFor({});
  await preparation.practise({ signal });
  if (signal.aborted) return;
  const { rehearseStart } = await import("./rehearse-start.ts");
  const { workers } = fetcher;
  fetcher.warm();
  await rehearseStart({ directory: join(store.root, PLACE), workers, preparation, signal });
}
