/**
 * A bound on how much happens at once, with priorities.
 *
 * @module
 */

/** A share of a {@link Semaphore}; disposing gives it back, once. */
export interface Permit extends Disposable {
  /** Gives the share back. Further calls do nothing. */
  release(): void;
}

/** How to wait for a permit. */
export interface AcquireOptions {
  readonly signal?: AbortSignal | undefined;
  /** How many units the permit takes; default 1. More than the capacity counts as the capacity. */
  readonly weight?: number;
  /** Higher goes first; default 0. Equal priorities go in order of arrival. */
  readonly priority?: number;
}

interface Waiter {
  readonly weight: number;
  readonly priority: number;
  readonly resolve: (permit: Permit) => void;
}

/** A counting semaphore: at most `capacity` units are out at any time. */
export class Semaphore {
  readonly capacity: number;
  #free: number;
  #waiters: Waiter[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
    this.#free = capacity;
  }

  /** Units that nobody holds. */
  get free(): number {
    return this.#free;
  }

  /** Waits for a permit. Rejects with the signal's reason if that comes first. */
  acquire(options: AcquireOptions = {}): Promise<Permit> {
    const { signal, weight = 1, priority = 0 } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason);
    const taken = Math.min(weight, this.capacity);
    if (this.#waiters.length === 0 && taken <= this.#free) return Promise.resolve(this.#grant(taken));
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason);
        this.#wake();
      };
      const waiter: Waiter = {
        weight: taken,
        priority,
        resolve: (permit) => {
          signal?.removeEventListener("abort", onAbort);
          resolve(permit);
        },
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#enqueue(waiter);
    });
  }

  /** Runs `work` while holding a permit. */
  async run<T>(work: () => Promise<T>, options: AcquireOptions = {}): Promise<T> {
    using _permit = await this.acquire(options);
    return await work();
  }

  #enqueue(waiter: Waiter): void {
    const at = this.#waiters.findIndex((other) => other.priority < waiter.priority);
    if (at < 0) this.#waiters.push(waiter);
    else this.#waiters.splice(at, 0, waiter);
  }

  #grant(weight: number): Permit {
    this.#free -= weight;
    let held = true;
    const release = (): void => {
      if (!held) return;
      held = false;
      this.#free += weight;
      this.#wake();
    };
    return { release, [Symbol.dispose]: release };
  }

  #wake(): void {
    for (
      let first = this.#waiters[0];
      first !== undefined && first.weight <= this.#free;
      first = this.#waiters[0]
    ) {
      this.#waiters.shift();
      first.resolve(this.#grant(first.weight));
    }
  }
}
