export * from "./durable-file.ts";
export * from "./if-exists.ts";
export * from "./make-directories.ts";
export * from "./open-own-file.ts";
export * from "./opened-file.ts";
export * from "./process-alive.ts";
export * from "./process-identity.ts";
export * from "./remove-tree.ts";
