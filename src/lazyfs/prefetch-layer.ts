/**
 * Brings what a layer's author wanted to be there first.
 *
 * @module
 */
import type { ByteRange } from "../blob/index.ts";
import type { Layer } from "../store/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import { bringChunks } from "./fetch-chunks.ts";
import type { PrefetchReport } from "./fetch-report.ts";
import type { FetchedLayer } from "./fetched-layer.ts";
import { PIECE } from "./piece-lanes.ts";

/**
 * Brings the start of a layer's blob, up to `source.prefetchSize`: in one request, or piece by piece where it is large.
 *
 * @throws {EsgzError} `DIGEST_MISMATCH`, `NO_SPACE`; codes of the medium; the signal's reason
 */
export async function prefetchLayer(
  context: FetchContext,
  fetched: FetchedLayer,
  { signal }: { readonly signal: AbortSignal },
): Promise<PrefetchReport> {
  const { layer } = fetched;
  const all = { offset: 0, size: endOfFirst(layer) };
  if (all.size === 0) return { bytes: 0, chunks: 0 };
  const account = { fetchedBytes: 0, requests: 0, hedged: 0 };
  const missing = await layer.missingChunks(layer.chunksIn(all), { signal });
  const bring = async (piece: ByteRange): Promise<unknown> =>
    await bringChunks(context, fetched, {
      chunks: layer.chunksIn(piece),
      priority: "prefetch",
      signal,
      account,
    });
  await (all.size > PIECE ? context.pieces.bring(all, bring) : bring(all));
  return { bytes: account.fetchedBytes, chunks: missing.length };
}

/** Where the data device's part ends whose members begin in front of the landmark. Places are in blob order. */
function endOfFirst(layer: Layer): number {
  const { prefetchSize } = layer.source;
  let [low, high] = [0, prefetchSize === 0 ? 0 : layer.chunkCount];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (layer.chunk(middle).blobOffset < prefetchSize) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return 0;
  const { place, size } = layer.chunk(low - 1);
  return place + size;
}
