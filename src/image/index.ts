export { type DockerArchiveChoice, DockerArchiveSource } from "./docker-archive-source.ts";
export { DockerArchiveDestination } from "./docker-archive-destination.ts";
export { DirectoryDestination } from "./directory-destination.ts";
export { DirectorySource } from "./directory-source.ts";
export { decompressStream, detectCompression } from "./decompress.ts";
export { EXTERNAL_TOC_SUFFIX, ExternalTocs } from "./external-tocs.ts";
export { FileBlob, type FileBlobOptions } from "./file-blob.ts";
export type { FindTocOptions } from "./find-layer-toc.ts";
export * from "./image.ts";
export * from "./image-destination.ts";
export * from "./image-files.ts";
export * from "./image-name.ts";
export * from "./image-source.ts";
export {
  type LayerCheck,
  type LayerCheckName,
  type LayerFinding,
  type LayerReport,
  MAX_FINDINGS,
} from "./layer-report.ts";
export * from "./layer-tree.ts";
export { makeDirectories } from "./make-directories.ts";
export { mergeLayers } from "./merge-layers.ts";
export { OciLayoutDestination } from "./oci-layout-destination.ts";
export { OciLayoutSource } from "./oci-layout-source.ts";
export * from "./open-image-source.ts";
export * from "./open-layer-archive.ts";
export { RegistryDestination } from "./registry-destination.ts";
export { RegistrySource } from "./registry-source.ts";
export * from "./resolve-path.ts";
export * from "./root-tree.ts";
export * from "./stream-layer-tar.ts";
export * from "./verify-layer.ts";
