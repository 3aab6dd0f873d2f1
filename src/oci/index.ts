export * from "./annotations.ts";
export * from "./digest.ts";
export * from "./manifest.ts";
export * from "./media-types.ts";
export * from "./platform.ts";
export * from "./reference.ts";
export * from "./toc-place.ts";
