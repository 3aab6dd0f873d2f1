/**
 * Writes what a full disk did not take, once there may be room.
 *
 * @module
 */
import { isEsgzError } from "../errors/index.ts";
import type { FetchContext } from "./fetch-context.ts";
import type { FetchedLayer } from "./fetched-layer.ts";

/**
 * Tries to write chunks that are in memory only, as long as there is room.
 *
 * @throws {EsgzError} `IO_FAILED`
 */
export async function writeRemembered(
  { memory }: FetchContext,
  fetched: FetchedLayer,
  chunks: readonly number[],
): Promise<void> {
  const { layer } = fetched;
  for (const chunk of chunks) {
    const bytes = memory.get(layer, chunk);
    if (bytes === undefined || layer.hasChunk(chunk)) continue;
    if (!fetched.mayWrite) return;
    try {
      await layer.writeChunk(chunk, bytes);
      fetched.noteWritten();
      memory.delete(layer, chunk);
    } catch (error) {
      if (!isEsgzError(error, "NO_SPACE")) throw error;
      fetched.noteFull(error);
      return;
    }
  }
}
