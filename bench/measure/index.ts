export * from "./compare.ts";
export * from "./measure-command.ts";
export * from "./results.ts";
export * from "./measure-until.ts";
