export * from "./link.ts";
export * from "./link-profile.ts";
