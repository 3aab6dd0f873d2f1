export * from "./blob-source.ts";
export * from "./buffer-budget.ts";
export * from "./flow-monitor.ts";
export * from "./receive-range.ts";
