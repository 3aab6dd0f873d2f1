export * from "./archive.ts";
export * from "./footer.ts";
export * from "./inflate-member.ts";
export { DEFAULT_LIMITS, type EstargzLimits } from "./limits.ts";
export * from "./open-archive.ts";
export * from "./read-file.ts";
export * from "./toc-entry.ts";
export { UnverifiedArchive } from "./unverified-archive.ts";
