/**
 * A bounded queue between a producer and a consumer.
 *
 * @module
 */

/**
 * A queue with room for `capacity` values: `send` waits while it is full, iteration waits while it is empty.
 * One consumer. A consumer that stops early makes every later `send` reject.
 */
export class Channel<T> implements AsyncIterable<T> {
  readonly #capacity: number;
  readonly #values: T[] = [];
  #readers: (() => void)[] = [];
  #writers: (() => void)[] = [];
  #ended = false;
  #failure: { readonly error: unknown } | undefined;
  #abandoned = false;

  constructor(capacity = 1) {
    this.#capacity = Math.max(1, capacity);
  }

  /** Appends a value; resolves once there was room for it. */
  async send(value: T): Promise<void> {
    while (this.#values.length >= this.#capacity && !this.#abandoned && this.#failure === undefined) {
      await new Promise<void>((resolve) => this.#writers.push(resolve));
    }
    if (this.#failure !== undefined) throw this.#failure.error;
    if (this.#abandoned) throw new Error("Cannot send to channel: its consumer has stopped");
    if (this.#ended) throw new Error("Cannot send to channel: it has ended");
    this.#values.push(value);
    wakeAll(this.#readers);
  }

  /** No more values: iteration ends after those inside. */
  end(): void {
    this.#ended = true;
    wakeAll(this.#readers);
  }

  /** Iteration throws `error` after the values inside; waiting senders reject with it. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    wakeAll(this.#readers);
    wakeAll(this.#writers);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        if (this.#values.length > 0) {
          const [value] = this.#values.splice(0, 1) as [T];
          wakeAll(this.#writers);
          yield value;
        } else if (this.#failure !== undefined) throw this.#failure.error;
        else if (this.#ended) return;
        else await new Promise<void>((resolve) => this.#readers.push(resolve));
      }
    } finally {
      this.#abandoned = true;
      wakeAll(this.#writers);
    }
  }
}

function wakeAll(waiters: (() => void)[]): void {
  for (const wake of waiters.splice(0)) wake();
}
