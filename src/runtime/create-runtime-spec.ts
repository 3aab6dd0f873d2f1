/**
 * From an image's config to the configuration of an OCI runtime.
 *
 * @module
 */
import { posix } from "node:path";
import { EsgzError } from "../errors/index.ts";
import type { ImageConfig } from "../oci/index.ts";
import { containerCommand, containerEnvironment } from "./container-command.ts";
import { containerMounts, type ReplacedFile } from "./container-mounts.ts";
import {
  DEFAULT_CAPABILITIES,
  DEFAULT_NAMESPACES,
  DEVICE_RULES,
  MASKED_PATHS,
  READONLY_PATHS,
} from "./default-isolation.ts";
import { isMapped, type IdMapping } from "./id-mapping.ts";
import type { OciRlimit, OciSpec } from "./oci-spec.ts";
import { resolveUser, type ContainerUser, type UserFiles } from "./resolve-user.ts";
import type { Volume } from "./volume.ts";

/** What a container is started with; everything that the user may say instead of the image. */
export interface ContainerOptions {
  readonly config: ImageConfig;
  /** Takes the place of the image's `Cmd`. */
  readonly command?: readonly string[] | undefined;
  /** Takes the place of the image's `Entrypoint` and `Cmd`; `[]` empties both. */
  readonly entrypoint?: readonly string[] | undefined;
  /** `NAME=value`; over the image's. */
  readonly env?: readonly string[] | undefined;
  /** An absolute path in the container; made if it is missing. */
  readonly workdir?: string | undefined;
  /** As {@link resolveUser} takes it; default: the image's. */
  readonly user?: string | undefined;
  readonly volumes?: readonly Volume[] | undefined;
  /** The machine's network, or only a loopback device. */
  readonly network: "host" | "none";
  /** The container gets a terminal of its own, which is shown in that of the caller. */
  readonly tty: boolean;
  /** The size of the caller's terminal, in characters; not every runtime looks at it by itself. */
  readonly terminalSize?: { readonly columns: number; readonly rows: number } | undefined;
  /** Whether the root cannot be written. */
  readonly readonly: boolean;
  /** Default: the id. */
  readonly hostname?: string | undefined;
}

/** What {@link createRuntimeSpec} needs beside it. */
export interface RuntimeSpecOptions extends ContainerOptions {
  /** A name that no other container has; the name of its cgroup too. */
  readonly id: string;
  /** The root filesystem: an absolute path, or one relative to the bundle. */
  readonly rootfs: string;
  /** The ids of the user namespace that the runtime itself runs in; absent for root. */
  readonly rootless?: IdMapping | undefined;
  /** The text of the root's `/etc/passwd`. */
  readonly passwd?: string | undefined;
  /** The text of the root's `/etc/group`. */
  readonly group?: string | undefined;
  /** Files like `/etc/resolv.conf`, where the container has others than its image. */
  readonly files?: readonly ReplacedFile[] | undefined;
  readonly rlimits?: readonly OciRlimit[] | undefined;
}

/**
 * The configuration of a container.
 *
 * With `rootless` it is made for a runtime that runs as root of a user namespace with those ids: without cgroups, and with
 * root in the place of users who do not exist there ({@link mappedUser}).
 *
 * @throws {EsgzError} `USAGE_INVALID` for options that cannot be used, `RUNTIME_FAILED` for an unknown user.
 */
export function createRuntimeSpec(options: RuntimeSpecOptions): OciSpec {
  const { config, id, rootless, hostname = id } = options;
  const inside = config.config ?? {};
  const user = mappedUser(containerUser(options, options), rootless);
  const caps = DEFAULT_CAPABILITIES;
  const cgroups = rootless === undefined;
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: options.tty,
      ...consoleSize(options),
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: containerCommand(inside, options),
      env: containerEnvironment({
        image: inside.Env ?? [],
        user: options.env ?? [],
        hostname,
        home: user.home,
        tty: options.tty,
      }),
      cwd: containerWorkdir(options),
      capabilities: { bounding: caps, effective: caps, permitted: caps },
      rlimits: options.rlimits ?? [],
      noNewPrivileges: false,
    },
    root: { path: options.rootfs, readonly: options.readonly },
    hostname,
    mounts: containerMounts({
      rootless,
      cgroups,
      files: options.files ?? [],
      volumes: options.volumes ?? [],
    }),
    linux: {
      namespaces: [
        ...DEFAULT_NAMESPACES.map((type) => ({ type })),
        ...(cgroups ? [{ type: "cgroup" as const }] : []),
        ...(options.network === "none" ? [{ type: "network" as const }] : []),
      ],
      ...(cgroups ? { cgroupsPath: `/esgz-${id}`, resources: { devices: DEVICE_RULES } } : {}),
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
    },
  };
}

function consoleSize({ tty, terminalSize }: RuntimeSpecOptions): Pick<OciSpec["process"], "consoleSize"> {
  if (!tty || terminalSize === undefined) return {};
  return { consoleSize: { height: terminalSize.rows, width: terminalSize.columns } };
}

/**
 * Who the container would run as, if all ids existed.
 *
 * @throws {EsgzError} `RUNTIME_FAILED`
 */
export function containerUser(
  { user, config }: Pick<ContainerOptions, "user" | "config">,
  files: { readonly [name in keyof UserFiles]?: string | undefined },
): ContainerUser {
  const text = user ?? config.config?.User ?? "";
  return resolveUser(text, { passwd: files.passwd ?? "", group: files.group ?? "" });
}

/** The user as a user namespace has it: root if the user does not exist there, and only groups that do. */
export function mappedUser(user: ContainerUser, mapping: IdMapping | undefined): ContainerUser {
  if (mapping === undefined) return user;
  const { uids, gids } = mapping;
  if (!isMapped(uids, user.uid) || !isMapped(gids, user.gid)) {
    return { uid: 0, gid: 0, additionalGids: [], home: user.home };
  }
  return { ...user, additionalGids: user.additionalGids.filter((gid) => isMapped(gids, gid)) };
}

/**
 * The directory that a container starts in.
 *
 * @throws {EsgzError} `USAGE_INVALID` if the user named a relative one.
 */
export function containerWorkdir({ workdir, config }: Pick<ContainerOptions, "workdir" | "config">): string {
  if (workdir !== undefined) assertWorkdir(workdir);
  const path = posix.resolve("/", workdir ?? config.config?.WorkingDir ?? "/");
  return path.replaceAll("\0", "");
}

/**
 * Refuses what cannot be a container's directory.
 *
 * @throws {EsgzError} `USAGE_INVALID`
 */
export function assertWorkdir(path: string): void {
  if (path.startsWith("/") && !path.includes("\0")) return;
  throw new EsgzError("USAGE_INVALID", `Cannot start in directory "${path}": expected an absolute path`);
}
