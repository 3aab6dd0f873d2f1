/**
 * The part of an OCI runtime configuration that esgz writes.
 *
 * Source: OCI runtime specification 1.0.2, config.md and config-linux.md.
 *
 * @module
 */

/** A mount inside a container. */
export interface OciMount {
  /** An absolute path in the container. */
  readonly destination: string;
  readonly type: string;
  /** A path of the machine for binds, else a name. */
  readonly source: string;
  readonly options: readonly string[];
}

/** A limit of `setrlimit(2)`. */
export interface OciRlimit {
  /** `RLIMIT_NOFILE`, ... */
  readonly type: string;
  readonly soft: number;
  readonly hard: number;
}

/** Which capabilities a process has. */
export interface OciCapabilities {
  readonly bounding: readonly string[];
  readonly effective: readonly string[];
  readonly permitted: readonly string[];
}

/** What runs in a container. */
export interface OciProcess {
  readonly terminal: boolean;
  /** In characters. */
  readonly consoleSize?: { readonly height: number; readonly width: number };
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids?: readonly number[] };
  readonly args: readonly string[];
  /** `NAME=value` */
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: OciCapabilities;
  readonly rlimits?: readonly OciRlimit[];
  readonly noNewPrivileges: boolean;
}

/** A rule of the devices cgroup. */
export interface OciDeviceRule {
  readonly allow: boolean;
  readonly type?: "a" | "b" | "c";
  readonly major?: number;
  readonly minor?: number;
  readonly access: string;
}

/** The kinds of namespaces. */
export type OciNamespaceType = "pid" | "network" | "mount" | "ipc" | "uts" | "user" | "cgroup";

/** An OCI runtime configuration: the `config.json` of a bundle. */
export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly namespaces: readonly { readonly type: OciNamespaceType }[];
    readonly cgroupsPath?: string;
    readonly resources?: { readonly devices: readonly OciDeviceRule[] };
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}
