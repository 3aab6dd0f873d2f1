export { type CompiledLayer, compileLayerArchive } from "./compile-layer-archive.ts";
export type { CompileLayerOptions, LayerMeta } from "./compile-layer.ts";
export type { ImageEvent, ImageObserver } from "./image-event.ts";
export { mergeLayerMetas } from "./merge-layer-metas.ts";
export {
  type DeclinedLayer,
  type LazyLayer,
  openLazyLayer,
  type OpenedLazyLayer,
  type OpenLazyLayerOptions,
} from "./open-lazy-layer.ts";
export { openStoredImage, type OpenStoredImageOptions } from "./open-stored-image.ts";
export { prepareImage, type PrepareImageOptions } from "./prepare-image.ts";
export {
  type MergedMetaFile,
  type PreparedImage,
  type PreparedLayer,
  pinnedDigest,
  recordedName,
} from "./prepared-image.ts";
export { stageWholeLayer, type StageWholeLayerOptions } from "./stage-whole-layer.ts";
