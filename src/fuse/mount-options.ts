/**
 * The options of a FUSE mount, for `mount(2)`, `mount(8)` and `fusermount3(1)`.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";

/** How a filesystem is mounted. */
export interface FuseMountOptions {
  /** Shown as the source of the mount. Default: "esgz". */
  readonly source?: string;
  /** Shown as the type, after `fuse.`. Default: none. */
  readonly subtype?: string;
  /** Other users may use it; others than root need `user_allow_other` in `/etc/fuse.conf`. Default: false. */
  readonly allowOther?: boolean;
  /** The kernel checks modes and owners. Default: true. */
  readonly defaultPermissions?: boolean;
  /** The largest read in bytes, for old kernels; newer ones agree on it with the server. Default: none. */
  readonly maxRead?: number;
  /** The mode of the root, of which only the type counts. Default: a directory. */
  readonly rootMode?: number;
  /** The owner of the mount: who may use it without `allowOther`. Default: this process. */
  readonly uid?: number;
  readonly gid?: number;
  /** Set-user-id programs and device nodes count. Default: false. */
  readonly allowSetuid?: boolean;
  readonly allowDevices?: boolean;
  /** Attempts to change something reach the server, which refuses them in its way; else the kernel does. Default: false. */
  readonly attempts?: boolean;
  /** "command" and "fusermount" use those programs; "call" is `mount(2)`. Default: what works here, without a command where possible. */
  readonly method?: "call" | "command" | "fusermount";
  readonly signal?: AbortSignal;
}

/** Options with their defaults. */
export interface MountPlan {
  readonly source: string;
  readonly type: string;
  /** For `mount(2)`, but `fd`. */
  readonly data: readonly string[];
  /** For commands: what `mount(2)` takes as flags. */
  readonly words: readonly string[];
  /** The same as `words`, as bits. */
  readonly flags: number;
}

const [MS_RDONLY, MS_NOSUID, MS_NODEV] = [1, 2, 4];
const ROOT_MODE = 0o040000;
const UNSAFE = /[,\\\s]/;

/**
 * The plan of a mount that is made with this process's rights. Mounts are read-only but for `attempts`.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` if a name would end its option.
 */
export function planMount(
  options: FuseMountOptions,
  ids: { readonly uid: number; readonly gid: number },
): MountPlan {
  const source = options.source ?? "esgz";
  for (const name of [source, options.subtype ?? ""]) checkName(name);
  const data = [
    `rootmode=${(options.rootMode ?? ROOT_MODE).toString(8)}`,
    `user_id=${options.uid ?? ids.uid}`,
    `group_id=${options.gid ?? ids.gid}`,
    ...optionWords(options),
  ];
  const [setuid, devices] = [options.allowSetuid === true, options.allowDevices === true];
  return {
    source,
    type: options.subtype === undefined ? "fuse" : `fuse.${options.subtype}`,
    data,
    words: [accessWord(options), ...(setuid ? [] : ["nosuid"]), ...(devices ? [] : ["nodev"])],
    flags: (options.attempts === true ? 0 : MS_RDONLY) | (setuid ? 0 : MS_NOSUID) | (devices ? 0 : MS_NODEV),
  };
}

/** The options of `fusermount3`, which sets owner and root by itself. */
export function fusermountWords(options: FuseMountOptions): string[] {
  const source = options.source ?? "esgz";
  for (const name of [source, options.subtype ?? ""]) checkName(name);
  const subtype = options.subtype === undefined ? [] : [`subtype=${options.subtype}`];
  return [accessWord(options), "nosuid", "nodev", `fsname=${source}`, ...subtype, ...optionWords(options)];
}

function accessWord({ attempts }: FuseMountOptions): "ro" | "rw" {
  return attempts === true ? "rw" : "ro";
}

function optionWords(options: FuseMountOptions): string[] {
  const words: string[] = [];
  if (options.defaultPermissions !== false) words.push("default_permissions");
  if (options.allowOther === true) words.push("allow_other");
  if (options.maxRead !== undefined) words.push(`max_read=${options.maxRead}`);
  return words;
}

function checkName(name: string): void {
  if (!UNSAFE.test(name)) return;
  throw new EsgzError(
    "CONFIGURATION_INVALID",
    `Cannot mount FUSE filesystem "${name}": expected a name without commas, spaces and backslashes, got one with them`,
  );
}
