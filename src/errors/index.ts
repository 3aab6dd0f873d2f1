export * from "./esgz-error.ts";
