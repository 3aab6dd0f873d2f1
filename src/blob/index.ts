export * from "./blob-source.ts";
