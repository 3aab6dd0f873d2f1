export { convertImage } from "./convert-image.ts";
export type { ConvertFormat, ConvertOptions, DeflateName, ZstdDialect } from "./convert-options.ts";
export type {
  ConvertEvent,
  ConvertReport,
  ImageConversion,
  LayerAction,
  LayerConversion,
  LayerIdentity,
  LayerTransfer,
} from "./convert-report.ts";
export { TOC_IMAGE_SUFFIX, tocImageNameOf } from "./toc-image.ts";
