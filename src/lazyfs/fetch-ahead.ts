/**
 * Reading ahead of a reader who goes on in order.
 *
 * @module
 */
import type { IndexRange } from "../store/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import { planMembers } from "./plan-members.ts";
import type { AheadRange } from "./read-ahead.ts";
import { startTransfer } from "./start-transfer.ts";

/** Starts to bring what is missing of a run of the data device; its end may lie behind the device's. */
export function fetchAhead(context: FetchContext, fetched: FetchedLayer, range: AheadRange): void {
  const { layer } = fetched;
  if (range.offset >= layer.dataSize) return;
  const size = Math.min(range.size, layer.dataSize - range.offset);
  fetchChunksAhead(context, fetched, { chunks: layer.chunksIn({ offset: range.offset, size }) });
}

/** What of chunks to bring ahead. */
export interface FetchChunksAheadOptions {
  /** No member that has more chunks than those; default false. */
  readonly within?: boolean;
  /** In so many requests at most; default: as it takes. */
  readonly requests?: number;
}

/** Starts to bring what is missing of some chunks. */
export function fetchChunksAhead(
  context: FetchContext,
  fetched: FetchedLayer,
  options: FetchChunksAheadOptions & { readonly chunks: IndexRange },
): void {
  const { layer } = fetched;
  const { chunks, within = false, requests = Infinity } = options;
  if (!fetched.mayWrite || fetched.signal.aborted) return;
  const start = async (): Promise<void> => {
    // Those that may be there are verified first.
    if (layer.unverifiedCount > 0) await layer.missingChunks(chunks, { signal: fetched.signal });
    const { rangeSize, gapSize } = context.tuning;
    for (let [chunk, asked] = [chunks.first, 0]; chunk < chunks.end && asked < requests;) {
      const plan = planMembers(fetched, chunk, { endChunk: chunks.end, maxBytes: rangeSize, gapSize });
      const runs = within ? plan.runs.filter(({ end }) => end <= chunks.end) : plan.runs;
      if (runs.length > 0) {
        startTransfer(context, fetched, { runs, priority: "readahead" });
        asked += 1;
      }
      chunk = plan.nextChunk;
    }
  };
  fetched.track(start());
}
