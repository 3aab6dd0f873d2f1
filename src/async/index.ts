export * from "./channel.ts";
export * from "./clock.ts";
export * from "./key-locks.ts";
export * from "./map-concurrent.ts";
export * from "./retry.ts";
export * from "./semaphore.ts";
export * from "./single-flight.ts";
export * from "./until-aborted.ts";
