export { type CompiledLayer, compileLayerArchive } from "./compile-layer-archive.ts";
export type { CompileLayerOptions, LayerMeta } from "./compile-layer.ts";
export type { ImageEvent, ImageObserver } from "./image-event.ts";
export { type LayerRoot, readLayerRoot } from "./layer-root.ts";
export { mergeLayerMetas } from "./merge-layer-metas.ts";
export type { DeclinedLayer } from "./declined-layer.ts";
export type { LayerAhead } from "./layer-ahead.ts";
export { LayersAhead, type LayersAheadOptions, type ToldLayers } from "./layers-ahead.ts";
export {
  type LazyLayer,
  locationOf,
  openLazyLayer,
  type OpenedLazyLayer,
  type OpenLazyLayerOptions,
  openSoundLayer,
} from "./open-lazy-layer.ts";
export { hasStoredImage, openStoredImage, type OpenStoredImageOptions } from "./open-stored-image.ts";
export { prepareImage, type PrepareImageOptions } from "./prepare-image.ts";
export {
  type MergedMetaFile,
  type PreparedImage,
  type PreparedLayer,
  recordedName,
} from "./prepared-image.ts";
export { recordImageName } from "./record-image-name.ts";
export { stageWholeLayer, type StageWholeLayerOptions } from "./stage-whole-layer.ts";
export type { AdoptedFuse, FuseKeeper } from "./fuse-claim.ts";
export { LayerViews, type LayerViewsOptions, type MountViewOptions } from "./layer-views.ts";
export type { MountRecord, ViewMethod } from "./mount-record.ts";
export type { OwnerMap } from "./owner-map.ts";
export { probeViews, type ViewSupport } from "./probe-views.ts";
export type { RangeFetcher, WaitingRange } from "./range-fetcher.ts";
export type { ReadCounts } from "./read-counters.ts";
export type { RemakeReport } from "./remake-failed.ts";
export type { RestoreReport } from "./restore-views.ts";
export type { ViewEvent } from "./view-event.ts";
export type { ViewedImage } from "./viewed-image.ts";
export type { ViewStatistics, WaitingFile } from "./view-statistics.ts";
export * from "./fetch-report.ts";
export { createEarlyBlocksMemory, createEarlyUseCounter, EarlyBlocks } from "./early-blocks.ts";
export type { EarlyBlocksMemory } from "./early-blocks.ts";
export type { FetchWorkers } from "./fetch-context.ts";
export { DEFAULT_FETCH_TUNING, type FetchTuning } from "./fetch-tuning.ts";
export {
  type EnsureOptions,
  type FillLayersOptions,
  LayerFetcher,
  type LayerFetcherOptions,
} from "./layer-fetcher.ts";
export { isLayerStoreFuse, LayerStore, type LayerStoreOptions } from "./layer-store.ts";
export type { LayerStoreHost, StoreLayer } from "./layer-store-host.ts";
export type { LayerStoreObserver } from "./layer-store-tree.ts";
export { foreseeProgram, type ForeseeOptions } from "./foresee-program.ts";
export type { ForeseeReport } from "./foreseen-files.ts";
export { ImageFiles, type FileRun, type ImageFile, type LayersMeta } from "./image-files.ts";
export { MetaFile } from "./meta-file.ts";
export { makePracticeLayer, type PracticeLayerOptions } from "./practice-layer.ts";
export { PreparationThreads, type PreparationThreadsOptions } from "./preparation-threads.ts";
