export * from "./byte-arrays.ts";
export * from "./byte-queue.ts";
export * from "./path-text.ts";
