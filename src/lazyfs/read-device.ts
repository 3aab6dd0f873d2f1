/**
 * Bytes of a data device of which some chunks are in memory only.
 *
 * @module
 */
import type { ByteRange, ReadOptions } from "../blob/index.ts";
import { EsgzError } from "../errors/index.ts";
import type { Layer } from "../store/index.ts";
import type { ChunksInMemory } from "./demand-read.ts";

/** Where the bytes of a range are. */
export interface DeviceParts {
  readonly layer: Layer;
  readonly range: ByteRange;
  /** Verified chunks that the store does not have. */
  readonly memory: ChunksInMemory;
}

/**
 * The bytes of a range. All chunks must be in the store or in memory; between them are zeros.
 *
 * @throws {EsgzError} `INTERNAL` if a chunk is in neither; `IO_FAILED`
 */
export async function readDevice(parts: DeviceParts, options: ReadOptions): Promise<Uint8Array> {
  const { layer, range, memory } = parts;
  const found = await layer.readRange(range, options);
  if (found.kind === "data") return found.bytes;
  const bytes = new Uint8Array(range.size);
  const chunks = layer.chunksIn(range);
  for (let chunk = chunks.first; chunk < chunks.end; chunk += 1) {
    const content = memory.get(chunk) ?? (await layer.readChunk(chunk, options));
    if (content === undefined) throw chunkLost(layer, chunk);
    const { place } = layer.chunk(chunk);
    const from = Math.max(0, range.offset - place);
    const to = Math.min(content.length, range.offset + range.size - place);
    bytes.set(content.subarray(from, to), place + from - range.offset);
  }
  return bytes;
}

function chunkLost(layer: Layer, chunk: number): EsgzError {
  return new EsgzError(
    "INTERNAL",
    `Cannot read "${layer.digest}": expected chunk ${chunk} to be there, got none`,
  );
}
