/**
 * In which order the layers of an image are made, whose tables of contents come in any order.
 *
 * A client asks for the layers one after the other, the lowest first. A small table comes before a large one; made at once, it
 * would keep from the processor what is waited for.
 *
 * @module
 */
import { type Clock, Semaphore } from "../async/index.ts";

/** Runs what takes the processor, and memory until the store has what is made, when it is a layer's turn. */
export type InTurn = <T>(make: () => Promise<T>) => Promise<T>;

/** How layers are made. */
export interface LayerTurnsOptions {
  readonly clock: Clock;
  /** Places in the image's list of layers, the lowest first. */
  readonly indexes: Iterable<number>;
  /** At most so many are made at the same time. */
  readonly atOnce: number;
  readonly signal?: AbortSignal | undefined;
}

/** For so long a layer lets those below it go first, if their tables are not here: about as long as making a small one takes. */
const PATIENCE_MS = 20;

/** The turns of the layers of one image. */
export class LayerTurns {
  readonly #options: LayerTurnsOptions;
  readonly #places: Semaphore;
  /** Layers whose tables are not here, the lowest first. */
  readonly #missing: Set<number>;
  #waiting: { readonly index: number; readonly go: () => void }[] = [];

  constructor(options: LayerTurnsOptions) {
    this.#options = options;
    this.#places = new Semaphore(options.atOnce);
    this.#missing = new Set([...options.indexes].toSorted((a, b) => a - b));
  }

  /** Opens the layer that is waited for: it has a place from the start. */
  async openAsked<Found>(index: number, open: (inTurn: InTurn) => Promise<Found>): Promise<Found> {
    this.#arrived(index);
    using place = await this.#places.acquire({ signal: this.#options.signal });
    const inTurn: InTurn = async (make) => {
      try {
        return await make();
      } finally {
        place.release();
      }
    };
    return await open(inTurn);
  }

  /** Opens another layer, which makes it in its turn. */
  async open<Found>(index: number, open: (inTurn: InTurn) => Promise<Found>): Promise<Found> {
    try {
      return await open((make) => this.#run(index, make));
    } finally {
      this.#arrived(index);
    }
  }

  async #run<T>(index: number, make: () => Promise<T>): Promise<T> {
    this.#arrived(index);
    if (this.#lowestMissing() < index) await this.#letOthersGoFirst(index);
    return await this.#places.run(make, { priority: -index, signal: this.#options.signal });
  }

  async #letOthersGoFirst(index: number): Promise<void> {
    const { clock, signal } = this.#options;
    const enough = new AbortController();
    const signals = signal === undefined ? enough.signal : AbortSignal.any([enough.signal, signal]);
    this.#waiting.push({ index, go: () => enough.abort() });
    await clock.sleep(PATIENCE_MS, { signal: signals }).catch(() => undefined);
  }

  #arrived(index: number): void {
    if (!this.#missing.delete(index)) return;
    const lowest = this.#lowestMissing();
    const ready = this.#waiting.filter(({ index: waiting }) => waiting < lowest);
    this.#waiting = this.#waiting.filter(({ index: waiting }) => waiting > lowest);
    for (const { go } of ready.toSorted((a, b) => a.index - b.index)) go();
  }

  #lowestMissing(): number {
    for (const index of this.#missing) return index;
    return Infinity;
  }
}
