/**
 * Many tasks, a few at a time.
 *
 * @module
 */

/** How {@linkcode mapConcurrent} works through its items. */
export interface MapConcurrentOptions {
  /** The number of items in work at once. */
  readonly concurrency: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Maps items with at most `concurrency` in work at once; results are in the order of the items.
 *
 * The first failure aborts the signal that the other tasks got, waits for them to end, and rejects: no task outlives
 * the call.
 */
export async function mapConcurrent<T, R>(
  items: Iterable<T>,
  work: (item: T, context: { readonly index: number; readonly signal: AbortSignal }) => Promise<R>,
  options: MapConcurrentOptions,
): Promise<R[]> {
  const failure = new AbortController();
  const signal =
    options.signal === undefined ? failure.signal : AbortSignal.any([options.signal, failure.signal]);
  const results: R[] = [];
  const queue = entriesOf(items);
  const drain = async (): Promise<void> => {
    for (const [index, item] of queue) {
      signal.throwIfAborted();
      results[index] = await work(item, { index, signal });
    }
  };
  const lanes = Array.from({ length: Math.max(1, options.concurrency) }, async () => {
    try {
      await drain();
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  });
  const settled = await Promise.allSettled(lanes);
  if (failure.signal.aborted) throw failure.signal.reason;
  for (const lane of settled) if (lane.status === "rejected") throw lane.reason;
  return results;
}

function* entriesOf<T>(items: Iterable<T>): Generator<[number, T]> {
  let index = 0;
  for (const item of items) {
    yield [index, item];
    index += 1;
  }
}
