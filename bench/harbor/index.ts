export * from "./harbor.ts";
