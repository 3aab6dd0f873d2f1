export * from "./compile-erofs.ts";
export * from "./device-plan.ts";
export * from "./erofs-node.ts";
export * from "./overlay-marks.ts";
export { isErofsXattrName } from "./xattr-name.ts";
export type { ForeignXattrs } from "./xattr-table.ts";
