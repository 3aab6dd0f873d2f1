/**
 * Reading ahead of a reader who goes on in order.
 *
 * @module
 */
import type { IndexRange } from "../store/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import type { MemberRun } from "./member-run.ts";
import { planMembers } from "./plan-members.ts";
import type { AheadRange } from "./read-ahead.ts";
import { startTransfer } from "./start-transfer.ts";

/** How much is asked for. */
export interface FetchAheadOptions {
  /** No member that goes on behind the range; default false. */
  readonly within?: boolean;
  /** In so many requests at most; default: as it takes. */
  readonly requests?: number;
}

/** Starts to bring what is missing of a run of the data device; its end may lie behind the device's. */
export function fetchAhead(
  context: FetchContext,
  fetched: FetchedLayer,
  range: AheadRange & FetchAheadOptions,
): void {
  const { layer } = fetched;
  const { offset, within = false, requests } = range;
  if (offset >= layer.dataSize) return;
  const end = Math.min(layer.dataSize, offset + range.size);
  const chunks = layer.chunksIn({ offset, size: end - offset });
  fetchChunksAhead(context, fetched, { chunks, requests, ...(within ? { end } : {}) });
}

/** Starts to bring what is missing of some chunks; with `end` no member that goes on behind that byte of the data device. */
export function fetchChunksAhead(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly chunks: IndexRange; readonly end?: number; readonly requests?: number | undefined },
): void {
  const { layer } = fetched;
  const { chunks, end, requests = Infinity } = options;
  const endOf = (run: MemberRun): number => {
    const { place, size } = layer.chunk(run.end - 1);
    return place + size;
  };
  if (!fetched.mayWrite || fetched.signal.aborted) return;
  const start = async (): Promise<void> => {
    // Those that may be there are verified first.
    if (layer.unverifiedCount > 0) await layer.missingChunks(chunks, { signal: fetched.signal });
    const { rangeSize, gapSize } = context.tuning;
    for (let [chunk, asked] = [chunks.first, 0]; chunk < chunks.end && asked < requests;) {
      const plan = planMembers(fetched, chunk, { endChunk: chunks.end, maxBytes: rangeSize, gapSize });
      const runs = end === undefined ? plan.runs : plan.runs.filter((run) => endOf(run) <= end);
      if (runs.length > 0) {
        startTransfer(context, fetched, { runs, priority: "readahead" });
        asked += 1;
      }
      chunk = plan.nextChunk;
    }
  };
  fetched.track(start());
}
