export * from "./clean-path.ts";
export * from "./encode-tar-header.ts";
export * from "./plain-metadata.ts";
export * from "./tar-block.ts";
export * from "./tar-decoder.ts";
export * from "./tar-entry.ts";
export * from "./tar-limits.ts";
