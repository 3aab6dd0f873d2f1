/**
 * From the configuration of containerd-stargz-grpc to that of a daemon.
 *
 * @module
 */
import type { MirrorConfig } from "../registry/index.ts";
import { parseReferenceConfig, type ReferenceSettings } from "../snapshotter/index.ts";
import { configFromFile } from "./config-from-file.ts";
import type { DaemonConfig, EndpointSettings, RegistrySettings } from "./daemon-config.ts";
import type { ParsedConfig } from "./parse-config.ts";

/** Parses such a file. @throws {EsgzError} `CONFIGURATION_INVALID` */
export function configFromReference(text: string, options: { readonly path: string }): ParsedConfig {
  const { settings, warnings } = parseReferenceConfig(text);
  return {
    config: configFromSettings(settings),
    warnings: warnings.map((warning) => `${options.path}: ${warning}`),
  };
}

function configFromSettings(settings: ReferenceSettings): DaemonConfig {
  const usual = configFromFile({});
  const mirrored = [...settings.mirrors].map(([name, mirrors]): [string, RegistrySettings] => [
    name,
    { mirrors: mirrors.map(mirrorSettings) },
  ]);
  return {
    ...usual,
    logLevel: settings.debugLog ? "debug" : usual.logLevel,
    prefetch: settings.prefetch,
    background: settings.backgroundFetch,
    metricsListen: settings.metricsAddress,
    fetch: { ...usual.fetch, backgroundConnections: settings.backgroundConcurrency },
    registries: Object.fromEntries(mirrored),
    registriesDirectory: settings.certsDirectory,
    registryTimeoutMs: settings.requestTimeoutMs,
    registryRetries: settings.maxRetries,
    snapshotter: {
      address: undefined,
      verification: settings.verification,
      remapIds: false,
      prefetchBytes: settings.prefetchSize,
    },
    keychains: settings.keychains,
  };
}

function mirrorSettings({
  url,
  plainHttp,
  headers,
}: MirrorConfig): EndpointSettings & { readonly url: string } {
  return {
    url,
    ...(plainHttp === undefined ? {} : { plain_http: plainHttp }),
    ...(headers === undefined ? {} : { headers }),
  };
}
