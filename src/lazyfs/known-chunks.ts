/**
 * Copies chunks that other layers have, beside everything else.
 *
 * @module
 */
import { setImmediate } from "node:timers/promises";
import type { Store } from "../store/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";

/** Chunks that are looked for before others get a turn. */
const SLICE = 256;

/**
 * Looks once for chunks of a layer in the rest of the store, and copies them; callers that come later wait for the first.
 * Reads go first. Returns the bytes copied by this call.
 *
 * @throws {EsgzError} `IO_FAILED`; the signal's reason. A full disk ends it quietly.
 */
export async function copyKnownChunks(
  context: FetchContext,
  fetched: FetchedLayer,
  options: { readonly store: Store; readonly signal: AbortSignal },
): Promise<number> {
  if (fetched.copied !== undefined) {
    await fetched.copied;
    return 0;
  }
  const copying = copyAll(context, fetched, options);
  fetched.copied = copying.catch(() => {
    fetched.copied = undefined;
  });
  fetched.track(copying);
  return await copying;
}

async function copyAll(
  context: FetchContext,
  { layer }: FetchedLayer,
  { store, signal }: { readonly store: Store; readonly signal: AbortSignal },
): Promise<number> {
  if ((await store.layers()).length < 2) return 0;
  let bytes = 0;
  for (let first = 0; first < layer.chunkCount && !layer.complete; first += SLICE) {
    await context.gate.pause({ signal });
    const size = Math.min(SLICE, layer.chunkCount - first);
    const indexes = Array.from({ length: size }, (_, at) => first + at).filter((at) => !layer.hasChunk(at));
    if (indexes.length > 0) {
      const report = await store.copyKnownChunks(layer, { indexes, signal });
      bytes += report.bytes;
      context.counters.copiedChunks += report.chunks;
    }
    await setImmediate();
  }
  return bytes;
}
