/**
 * The defaults of a configuration.
 *
 * @module
 */
import type { ConfigFile, DaemonConfig } from "./daemon-config.ts";

const IDLE_EXIT_MS = 60_000;
const CHECKPOINT_MS = 15_000;
const GRACE_MS = 5000;

/** Fills in the defaults. */
export function configFromFile(file: ConfigFile): DaemonConfig {
  const { daemon = {}, fetch = {}, snapshotter = {}, keychains = {} } = file;
  return {
    store: file.store,
    quotaBytes: file.quota,
    jobs: file.jobs,
    authfile: file.authfile,
    logLevel: file.log?.level ?? "info",
    idleExitMs: daemon.idle_exit ?? IDLE_EXIT_MS,
    checkpointMs: daemon.checkpoint ?? CHECKPOINT_MS,
    graceMs: daemon.grace ?? GRACE_MS,
    fetch: {
      connections: fetch.connections,
      backgroundConnections: fetch.background_connections,
      rangeSize: fetch.range,
      bytesInFlight: fetch.memory,
      readAheadMax: fetch.read_ahead,
      demandDeadlineMs: fetch.deadline,
    },
    prefetch: fetch.prefetch ?? true,
    background: fetch.background ?? true,
    view: file.mounts?.view ?? "auto",
    metricsListen: file.metrics?.listen,
    registries: file.registries ?? {},
    registriesDirectory: file.registries_dir,
    registryTimeoutMs: undefined,
    registryRetries: undefined,
    snapshotter: {
      address: snapshotter.address,
      verification: {
        disabled: snapshotter.disable_verification ?? false,
        allowSkipping: snapshotter.allow_no_verification ?? false,
      },
      remapIds: snapshotter.remap_ids ?? false,
      prefetchBytes: snapshotter.prefetch_size ?? 0,
    },
    keychains: {
      kubeconfig: { enabled: keychains.kubeconfig !== undefined, path: keychains.kubeconfig },
      cri: {
        enabled: keychains.cri !== undefined,
        imageServicePath: keychains.cri ?? "",
        listenPath: keychains.cri_listen,
      },
    },
  };
}
