import { type FileHandle, open } from "node:fs/promises";
import { decodeTableHeader, TABLE_HEADER_SIZE, tableSize } from "./chunk-table-file.ts";
import type { ChunkTableLimits } from "./chunk-table-limits.ts";
import { decodeSource, MAX_SOURCE_BYTES, type SourceRecord } from "./layer-source.ts";
import { readBoundedFile, statFile } from "./read-bounded-file.ts";
import { storeInvalid } from "./store-error.ts";
import type { LayerPaths } from "./store-layout.ts";

/**
 * Where a layer comes from: what is known by now, or else what was known when it was made.
 *
 * @throws {EsgzError} `STORE_INVALID`; system errors as they are.
 */
export async function readSource(
  paths: Pick<LayerPaths, "source" | "chunks">,
  limits: ChunkTableLimits,
): Promise<SourceRecord> {
  const changed = await readBoundedFile(paths.source, { limit: MAX_SOURCE_BYTES });
  return decodeSource(changed ?? (await readBehindTable(paths.chunks, limits)));
}

async function readBehindTable(path: string, limits: ChunkTableLimits): Promise<Uint8Array> {
  const length = statFile(path)?.size ?? 0;
  await using file = await open(path, "r");
  const { count } = decodeTableHeader(await readPart(file, { offset: 0, size: TABLE_HEADER_SIZE }), limits);
  const offset = tableSize(count);
  const size = length - offset;
  if (size <= 0 || size > MAX_SOURCE_BYTES)
    throw storeInvalid(`"${path}"`, { expected: "a layer source behind the table", found: `${size} bytes` });
  return await readPart(file, { offset, size });
}

async function readPart(
  file: FileHandle,
  { offset, size }: { readonly offset: number; readonly size: number },
): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  const { bytesRead } = await file.read(bytes, 0, size, offset);
  return bytes.subarray(0, bytesRead);
}
