/**
 * Makes the files of a layer under a temporary name.
 *
 * @module
 */
import { hash } from "node:crypto";
import { closeSync, fsync, ftruncateSync, mkdirSync, openSync } from "node:fs";
import { promisify } from "node:util";
import { syncPath, writeNewFile } from "../files/index.ts";
import { type ChunkList, type ChunkTableLimits, type EncodedChunks, sizedTable } from "./chunk-table-file.ts";
import { encodeFilled } from "./filled-file.ts";
import { encodeSource, type LayerSource, type SourceRecord } from "./layer-source.ts";
import { type LayerPaths, layerPaths } from "./store-layout.ts";

/** What a layer is made from; its chunks as a list, or encoded by somebody else. */
export interface NewLayer<Chunks extends ChunkList | EncodedChunks = ChunkList> {
  /** The EROFS image of the metadata, complete. The store does not look into it. */
  readonly meta: Uint8Array;
  /** The chunks that fill the data device, from a source that was verified. */
  readonly chunks: Chunks;
  readonly source: LayerSource;
}

/** What a store takes. */
export type AnyNewLayer = NewLayer<ChunkList | EncodedChunks>;

/** How to make files. */
export interface CreateFilesOptions {
  readonly limits: ChunkTableLimits;
  readonly durable: boolean;
}

/**
 * Makes a directory with the files of a layer that has no chunks yet.
 *
 * Whoever opens an image waits for this: what needs no disk is done at once, for each turn of another thread would take as long
 * as all of it.
 *
 * @returns what its source file says
 * @throws {EsgzError} `STORE_INVALID` for chunks that no table can hold, before anything is made.
 */
export async function createLayerFiles(
  directory: string,
  layer: AnyNewLayer,
  options: CreateFilesOptions,
): Promise<SourceRecord> {
  const { table, count, dataSize } = sizedTable(layer.chunks, options.limits);
  mkdirSync(directory);
  const paths = layerPaths(directory);
  const data = openSync(paths.data, "wx", 0o644);
  try {
    ftruncateSync(data, dataSize);
    if (options.durable) await promisify(fsync)(data);
  } finally {
    closeSync(data);
  }
  return await writeLayerRecords(paths, { ...layer, table, count }, options);
}

/** Writes all files of a layer but `data`; returns what its source file says. */
export async function writeLayerRecords(
  paths: LayerPaths,
  records: Pick<NewLayer, "meta" | "source"> & { readonly table: Uint8Array; readonly count: number },
  options: { readonly durable: boolean },
): Promise<SourceRecord> {
  const { meta, source, table, count } = records;
  const record: SourceRecord = { source, metaDigest: `sha256:${hash("sha256", meta)}` };
  const filled = encodeFilled({ count, bitmap: new Uint8Array(Math.ceil(count / 8)) });
  await writeNewFile(paths.meta, meta, options);
  await writeNewFile(paths.chunks, table, options);
  await writeNewFile(paths.source, encodeSource(record), options);
  await writeNewFile(paths.filled, filled, options);
  if (options.durable) await syncPath(paths.directory);
  return record;
}
