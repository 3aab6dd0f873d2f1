/**
 * What a layer takes on the disk.
 *
 * @module
 */
import { stat } from "node:fs/promises";
import { ifExists } from "../files/index.ts";
import type { Digest } from "../oci/index.ts";
import type { LayerPaths } from "./store-layout.ts";

/** What a layer takes on the disk. */
export interface LayerSize {
  readonly digest: Digest;
  /** The bytes allocated for the data file. */
  readonly dataBytes: number;
  /** The bytes allocated for all other files. */
  readonly recordBytes: number;
  /** The size of the data device: what the data file takes when all of it is there. */
  readonly totalBytes: number;
}

const DISK_SECTOR = 512;

/** Measures the files of a layer; one that is missing takes nothing. @throws errors of the system */
export async function readLayerSize(
  digest: Digest,
  { data, meta, chunks, filled, source }: LayerPaths,
): Promise<LayerSize> {
  const records = await Promise.all([meta, chunks, filled, source].map(allocatedBytes));
  return {
    digest,
    dataBytes: await allocatedBytes(data),
    recordBytes: records.reduce((sum, size) => sum + size, 0),
    totalBytes: (await ifExists(stat(data)))?.size ?? 0,
  };
}

async function allocatedBytes(path: string): Promise<number> {
  return ((await ifExists(stat(path)))?.blocks ?? 0) * DISK_SECTOR;
}
