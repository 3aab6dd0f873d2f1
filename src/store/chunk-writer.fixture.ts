/**
 * A thread that writes chunks to the data file of a layer, and reads what is ready.
 *
 * @module
 */
import { openSync, readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { type ChunkSlot, isRangeReady, writeChunkSync } from "./index.ts";

/** What the thread starts with. */
export interface ChunkWriterData {
  readonly dataPath: string;
  readonly ready: Uint8Array;
}

/** What the thread is asked. */
export type ChunkWriterRequest =
  | { readonly kind: "write"; readonly slot: ChunkSlot; readonly bytes: Uint8Array }
  | { readonly kind: "read"; readonly offset: number; readonly size: number };

const { dataPath, ready } = workerData as ChunkWriterData;
const fd = openSync(dataPath, "r+");

parentPort?.on("message", (request: ChunkWriterRequest) => {
  if (request.kind === "read") {
    const bytes = new Uint8Array(request.size);
    const isReady = isRangeReady(ready, request);
    if (isReady) readSync(fd, bytes, 0, request.size, request.offset);
    parentPort?.postMessage(isReady ? bytes : undefined);
    return;
  }
  try {
    writeChunkSync(fd, request.slot, request.bytes);
    parentPort?.postMessage("written");
  } catch (error) {
    parentPort?.postMessage((error as { code: string }).code);
  }
});
