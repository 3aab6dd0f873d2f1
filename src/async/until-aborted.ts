/**
 * Waiting for what cannot be aborted itself.
 *
 * @module
 */

/**
 * Waits for a promise or the signal, whichever is first: the signal ends the waiting, not the work. The promise may fail later:
 * that is handled.
 *
 * @throws the signal's reason; what the promise rejects with
 */
export async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  promise.catch(() => undefined);
  if (signal.aborted) throw signal.reason;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
