export {
  type RegistryLimits,
  type RegistryServer,
  type RegistryServerOptions,
  type RequestInfo,
  startRegistryServer,
} from "./registry-server.ts";
