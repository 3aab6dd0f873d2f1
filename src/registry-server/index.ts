export type { GarbageOptions, GarbageReport } from "./garbage-collection.ts";
export type {
  RegistryLimits,
  RegistryServerOptions,
  RequestInfo,
  TokenSettings,
} from "./registry-options.ts";
export { type RegistryServer, startRegistryServer } from "./registry-server.ts";
