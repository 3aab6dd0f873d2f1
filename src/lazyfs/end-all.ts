/**
 * Work that goes on together and ends together.
 *
 * @module
 */

/** Ends all work, then rejects as the first that failed: nothing goes on with layers that were given back. */
export async function endAll(work: readonly Promise<void>[]): Promise<void> {
  const settled = await Promise.allSettled(work);
  for (const each of settled) if (each.status === "rejected") throw each.reason;
}
