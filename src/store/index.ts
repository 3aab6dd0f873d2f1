export type { BitSet } from "./bit-set.ts";
export type { ReverifyReport } from "./chunk-checks.ts";
export type { CopyOptions, CopyReport } from "./chunk-copier.ts";
export { BLOCK_SIZE, type ChunkRow } from "./chunk-row.ts";
export { type ChunkSlot, writeChunkSync } from "./chunk-slot.ts";
export { encodeChunks, encodeChunkTable } from "./chunk-table-file.ts";
export type { ChunkList, EncodedChunks } from "./chunk-table-file.ts";
export type { ChunkTableLimits } from "./chunk-table-limits.ts";
export type { GapRange, TableSummary } from "./table-scan.ts";
export type { IndexRange } from "./chunk-table.ts";
export type { ContentStore, StoredContent } from "./content-store.ts";
export type { AnyNewLayer, NewLayer } from "./create-layer.ts";
export type { LayerHandle } from "./layer-shelf.ts";
export type { LayerSize } from "./layer-size.ts";
export type { LayerLocation, LayerSource } from "./layer-source.ts";
export type { LayerStage, StagedChunk, StagedLayer } from "./layer-stage.ts";
export type { Layer, RangeRead } from "./layer.ts";
export type { ImageRecord, Lease, MergedMeta, StoredImage } from "./metadata-database.ts";
export { openStore, type StoreOptions } from "./open-store.ts";
export { isRangeReady } from "./ready-blocks.ts";
export type { StoreEvent, StoreObserver } from "./store-event.ts";
export type { Store } from "./store.ts";
export type {
  LayerUsage,
  PruneOptions,
  PruneReport,
  StoreReverifyReport,
  StoreUsage,
} from "./store-upkeep.ts";
