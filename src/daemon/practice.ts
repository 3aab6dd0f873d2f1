/**
 * When a daemon practises: if it has been left alone for a while after its start, and what prepares images again, some time after
 * it has prepared some. What comes first is served instead, and is practice enough.
 *
 * @module
 */
import { join } from "node:path";
import type { Services } from "./services.ts";

/** Whoever starts a daemon for a command of theirs asks for something within this time. */
const ALONE_MS = 1000;
/** After so long nothing that was started waits for the processor, as a rule. */
const QUIET_MS = 10_000;
/** A directory of the store for the while. */
const PLACE = "practice";

/** Practises when nobody is there, until somebody comes. Disposing ends it. */
export class Practice implements Disposable {
  readonly #services: Services;
  readonly #isBusy: () => boolean;
  #ending = new AbortController();
  #timer: NodeJS.Timeout | undefined;
  #isFirst = true;
  #isPractising = false;
  #seen = 0;
  #isOver = false;

  /** @param isBusy whether somebody is being served now */
  constructor(services: Services, isBusy: () => boolean) {
    this.#services = services;
    this.#isBusy = isBusy;
    this.#wait();
  }

  /** Somebody asks for something: what goes on ends soon, what has not begun waits. */
  stepAside(): void {
    this.#ending.abort();
    this.#wait();
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#ending.abort();
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#isOver) return;
    this.#timer = setTimeout(() => void this.#begin(), this.#isFirst ? ALONE_MS : QUIET_MS);
    this.#timer.unref();
  }

  async #begin(): Promise<void> {
    const isFirst = this.#isFirst;
    if (this.#isPractising || this.#isBusy() || (!isFirst && this.#hasSeenMore())) {
      this.#wait();
      return;
    }
    this.#isFirst = false;
    this.#isPractising = true;
    this.#ending = new AbortController();
    await this.#practise(isFirst, this.#ending.signal);
    this.#isPractising = false;
    this.#wait();
  }

  async #practise(isFirst: boolean, signal: AbortSignal): Promise<void> {
    const { clients, preparation, log } = this.#services;
    try {
      // Where images were asked for, by whatever way, all code that matters has run; threads may have given theirs up since.
      if (!isFirst && !preparation.isPractised) await preparation.practise({ signal });
      if (isFirst && clients.traffic.requests === 0) await practise(this.#services, signal);
    } catch (error) {
      if (!signal.aborted) log.warn({ err: error }, "practice failed");
    }
  }

  /** Whether something went on since this was asked last, by whatever way it was asked for. */
  #hasSeenMore(): boolean {
    const { clients, fetcher } = this.#services;
    const seen = clients.traffic.requests + fetcher.statistics().demandReads;
    const hasMore = seen !== this.#seen;
    this.#seen = seen;
    return hasMore;
  }
}

async function practise(
  { store, views, clients, fetcher, preparation }: Services,
  signal: AbortSignal,
): Promise<void> {
  // What a machine cannot do is said when somebody asks for it.
  await views.warm().catch(() => undefined);
  await clients.clientFor({});
  const { rehearseStart } = await import("./rehearse-start.ts");
  const { workers } = fetcher;
  fetcher.warm();
  await rehearseStart({ directory: join(store.root, PLACE), workers, preparation, signal });
  await preparation.practise({ signal });
}
