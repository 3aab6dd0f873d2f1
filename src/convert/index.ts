export { convertImage } from "./convert-image.ts";
export type { ConvertFormat, ConvertOptions, DeflateName } from "./convert-options.ts";
export type {
  ConvertEvent,
  ConvertReport,
  ImageConversion,
  LayerAction,
  LayerConversion,
  LayerIdentity,
  LayerTransfer,
} from "./convert-report.ts";
export { tocImageNameOf } from "./toc-image.ts";
