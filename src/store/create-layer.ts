/**
 * Makes the files of a layer under a temporary name.
 *
 * @module
 */
import { hash } from "node:crypto";
import { mkdir, open } from "node:fs/promises";
import { syncPath, writeNewFile } from "../files/index.ts";
import { type ChunkList, type ChunkTableLimits, type EncodedChunks, sizedTable } from "./chunk-table-file.ts";
import { encodeFilled } from "./filled-file.ts";
import { encodeSource, type LayerSource } from "./layer-source.ts";
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
 * @throws {EsgzError} `STORE_INVALID` for chunks that no table can hold, before anything is made.
 */
export async function createLayerFiles(
  directory: string,
  layer: AnyNewLayer,
  options: CreateFilesOptions,
): Promise<void> {
  const { table, count, dataSize } = sizedTable(layer.chunks, options.limits);
  await mkdir(directory);
  const paths = layerPaths(directory);
  const data = await open(paths.data, "wx", 0o644);
  try {
    await data.truncate(dataSize);
    if (options.durable) await data.sync();
  } finally {
    await data.close();
  }
  await writeLayerRecords(paths, { ...layer, table, count }, options);
}

/** Writes all files of a layer but `data`. */
export async function writeLayerRecords(
  paths: LayerPaths,
  records: Pick<NewLayer, "meta" | "source"> & { readonly table: Uint8Array; readonly count: number },
  options: { readonly durable: boolean },
): Promise<void> {
  const { meta, source, table, count } = records;
  const metaDigest = `sha256:${hash("sha256", meta)}` as const;
  const filled = encodeFilled({ count, bitmap: new Uint8Array(Math.ceil(count / 8)) });
  await writeNewFile(paths.meta, meta, options);
  await writeNewFile(paths.chunks, table, options);
  await writeNewFile(paths.source, encodeSource({ source, metaDigest }), options);
  await writeNewFile(paths.filled, filled, options);
  if (options.durable) await syncPath(paths.directory);
}
