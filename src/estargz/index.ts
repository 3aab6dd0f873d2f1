export * from "./archive.ts";
export {
  createCompressor,
  type CompressOptions,
  type Compressor,
  type CompressorKind,
} from "./compressor.ts";
export * from "./footer.ts";
export type { ExternalFooter, GzipFooter } from "./gzip-footer.ts";
export * from "./inflate-member.ts";
export { probeLibdeflate } from "./libdeflate.ts";
export { DEFAULT_LIMITS, type EstargzLimits } from "./limits.ts";
export * from "./open-archive.ts";
export * from "./read-file.ts";
export type { ArchiveInput } from "./tar-layout.ts";
export * from "./toc-entry.ts";
export { UnverifiedArchive } from "./unverified-archive.ts";
export * from "./write-archive.ts";
export type { WriteArchiveOptions } from "./write-options.ts";
export type { ZstdDialect } from "./zstd-end.ts";
export type { ZstdFooter } from "./zstd-footer.ts";
