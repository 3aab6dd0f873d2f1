/**
 * Brings a run of chunks that nobody waits for yet.
 *
 * @module
 */
import { untilAborted } from "../async/index.ts";
import type { IndexRange } from "../store/index.ts";
import type { FetchContext, TransferAccount } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { Flight } from "./flight.ts";
import { planMembers } from "./plan-members.ts";
import { startTransfer } from "./start-transfer.ts";

/** What to bring. */
export interface BringChunksOptions {
  readonly chunks: IndexRange;
  readonly priority: "prefetch" | "background";
  readonly signal: AbortSignal;
  readonly account?: TransferAccount;
}

/** A prefetch is one request as long as it is no larger; long ranges come here piece by piece. */
const PREFETCH_RANGE = 64 << 20;
/** For one request instead of two a prefetch reads through more. */
const PREFETCH_GAP = 1 << 20;

/**
 * Brings chunks, with as few requests as the priority allows.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `NO_SPACE`; codes of the medium; the signal's reason
 */
export async function bringChunks(
  context: FetchContext,
  fetched: FetchedLayer,
  options: BringChunksOptions,
): Promise<void> {
  const { chunks, signal } = options;
  const { layer } = fetched;
  for (;;) {
    const missing = await layer.missingChunks(chunks, { signal });
    const flights = new Set<Flight>();
    startAll(context, fetched, options);
    for (const chunk of missing) {
      const flight = layer.hasChunk(chunk) ? undefined : fetched.flights.get(fetched.runs.at(chunk).first);
      if (flight !== undefined) flights.add(flight);
    }
    if (flights.size === 0) return;
    await untilAborted(Promise.all([...flights].map(async ({ settled }) => await settled)), signal);
  }
}

function startAll(context: FetchContext, fetched: FetchedLayer, options: BringChunksOptions): void {
  const { chunks, priority, signal, account } = options;
  const { minRangeSize, gapSize } = context.tuning;
  const isPrefetch = priority === "prefetch";
  for (let chunk = chunks.first; chunk < chunks.end;) {
    const { runs, nextChunk } = planMembers(fetched, chunk, {
      endChunk: chunks.end,
      maxBytes: isPrefetch ? PREFETCH_RANGE : minRangeSize,
      gapSize: isPrefetch ? PREFETCH_GAP : gapSize,
    });
    if (runs.length > 0) startTransfer(context, fetched, { runs, priority, signal, account });
    chunk = nextChunk;
  }
}
