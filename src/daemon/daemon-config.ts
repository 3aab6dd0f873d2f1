/**
 * The configuration of a daemon: what its file may say, and what follows with the defaults.
 *
 * @module
 */

import type { KeychainSettings, VerificationPolicy } from "../snapshotter/index.ts";

/** How one place is reached. */
export interface EndpointSettings {
  readonly url?: string | undefined;
  readonly plain_http?: boolean | undefined;
  readonly tls_verify?: boolean | undefined;
  readonly cert_dir?: string | undefined;
  readonly ca_file?: string | undefined;
  readonly client_cert?: string | undefined;
  readonly client_key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** How a registry is reached. */
export interface RegistrySettings extends EndpointSettings {
  readonly mirrors?: readonly (EndpointSettings & { readonly url: string })[] | undefined;
}

/** The parsed file: only what it says. Sizes are bytes, durations milliseconds. */
export interface ConfigFile {
  readonly store?: string | undefined;
  readonly quota?: number | undefined;
  readonly jobs?: number | undefined;
  readonly authfile?: string | undefined;
  readonly log?: { readonly level?: LogLevel | undefined } | undefined;
  readonly daemon?:
    | {
        readonly idle_exit?: number | undefined;
        readonly checkpoint?: number | undefined;
        readonly grace?: number | undefined;
      }
    | undefined;
  readonly fetch?:
    | {
        readonly connections?: number | undefined;
        readonly background_connections?: number | undefined;
        readonly range?: number | undefined;
        readonly memory?: number | undefined;
        readonly read_ahead?: number | undefined;
        readonly deadline?: number | undefined;
        readonly prefetch?: boolean | undefined;
        readonly background?: boolean | undefined;
      }
    | undefined;
  readonly mounts?: { readonly view?: ViewChoice | undefined } | undefined;
  readonly metrics?: { readonly listen?: string | undefined } | undefined;
  readonly registries_dir?: string | undefined;
  readonly registries?: Readonly<Record<string, RegistrySettings>> | undefined;
  readonly snapshotter?:
    | {
        readonly address?: string | undefined;
        readonly allow_no_verification?: boolean | undefined;
        readonly disable_verification?: boolean | undefined;
        readonly remap_ids?: boolean | undefined;
        readonly prefetch_size?: number | undefined;
      }
    | undefined;
  readonly keychains?:
    | {
        readonly kubeconfig?: string | undefined;
        readonly cri?: string | undefined;
        readonly cri_listen?: string | undefined;
      }
    | undefined;
}

/** How much is logged. */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

/** How images are shown, where a request does not say. */
export type ViewChoice = "auto" | "erofs-file" | "erofs-loop" | "tree";

/** A configuration with its defaults. */
export interface DaemonConfig {
  /** The root of the store, for commands and daemons that are told no other. */
  readonly store: string | undefined;
  readonly quotaBytes: number | undefined;
  /** Threads that inflate and verify; the number of processors if absent. */
  readonly jobs: number | undefined;
  readonly authfile: string | undefined;
  readonly logLevel: LogLevel;
  readonly idleExitMs: number;
  readonly checkpointMs: number;
  readonly graceMs: number;
  readonly fetch: {
    readonly connections: number | undefined;
    readonly backgroundConnections: number | undefined;
    readonly rangeSize: number | undefined;
    readonly bytesInFlight: number | undefined;
    readonly readAheadMax: number | undefined;
    readonly demandDeadlineMs: number | undefined;
  };
  readonly prefetch: boolean;
  readonly background: boolean;
  readonly view: ViewChoice;
  readonly metricsListen: string | undefined;
  readonly registries: Readonly<Record<string, RegistrySettings>>;
  /** containerd's directory of `hosts.toml` files. */
  readonly registriesDirectory: string | undefined;
  /** How long a registry may be silent, and how often it is asked again; absent for the defaults. */
  readonly registryTimeoutMs: number | undefined;
  readonly registryRetries: number | undefined;
  readonly snapshotter: {
    /** Its socket; absent: there is none unless the command line names one. */
    readonly address: string | undefined;
    readonly verification: VerificationPolicy;
    /** Whether containerd was told that it may mount for user namespaces. */
    readonly remapIds: boolean;
    /** Fetched first of layers that do not say what is read first. */
    readonly prefetchBytes: number;
  };
  readonly keychains: KeychainSettings;
}
