/**
 * Makes the files of a layer under a temporary name.
 *
 * @module
 */
import { hash } from "node:crypto";
import { ftruncateSync, mkdirSync } from "node:fs";
import { OpenedFile, syncPath, writeNewFile } from "../files/index.ts";
import { type ChunkList, type EncodedChunks, sizedTable } from "./chunk-table-file.ts";
import type { ChunkTableLimits } from "./chunk-table-limits.ts";
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

/** Files that were made a moment ago. */
export interface CreatedFiles {
  /** The data file. Whoever gets it closes it. */
  readonly data: OpenedFile;
  /** Where it comes from, as the file `chunks` says it. */
  readonly record: SourceRecord;
  readonly chunks: EncodedChunks;
}

/**
 * Makes a directory with the files of a layer that has no chunks yet; without `filled` and `source`, which would say just that.
 *
 * Whoever opens an image waits for this: what needs no disk is done at once, since each turn of another thread takes as long as all
 * the rest.
 *
 * @throws {EsgzError} `STORE_INVALID` for chunks that no table can hold, before anything is made.
 */
export async function createLayerFiles(
  directory: string,
  layer: AnyNewLayer,
  options: CreateFilesOptions,
): Promise<CreatedFiles> {
  const { table, summary, dataSize } = sizedTable(layer.chunks, options.limits);
  mkdirSync(directory);
  const paths = layerPaths(directory);
  const data = OpenedFile.open(paths.data, "wx+");
  try {
    ftruncateSync(data.fd, dataSize);
    if (options.durable) await data.sync();
    const record = await writeLayerRecords(paths, { ...layer, table }, options);
    return { data, chunks: { table, summary }, record };
  } catch (error) {
    await data.close();
    throw error;
  }
}

/** Writes `meta` and `chunks` of a layer; returns what the latter says of its source. */
export async function writeLayerRecords(
  paths: LayerPaths,
  records: Pick<NewLayer, "meta" | "source"> & EncodedChunks,
  options: { readonly durable: boolean },
): Promise<SourceRecord> {
  const { meta, source, table } = records;
  const record: SourceRecord = { source, metaDigest: `sha256:${hash("sha256", meta)}` };
  await writeNewFile(paths.meta, meta, options);
  await writeNewFile(paths.chunks, [table, encodeSource(record)], options);
  if (options.durable) await syncPath(paths.directory);
  return record;
}
