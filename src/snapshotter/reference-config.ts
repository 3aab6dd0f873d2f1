/**
 * The configuration file of containerd-stargz-grpc, as it is.
 *
 * Every key that it knows is known here: some have a meaning, the others concern machinery that esgz does not have and are
 * named in a warning when they are set. So are keys that nobody knows.
 *
 * @module
 */
import { parse } from "smol-toml";
import * as v from "valibot";
import { EsgzError, messageOf } from "../errors/index.ts";
import type { MirrorConfig } from "../registry/index.ts";
import type { VerificationPolicy } from "./remote-request.ts";

/** Where credentials come from, beside Docker's configuration. */
export interface KeychainSettings {
  readonly kubeconfig: { readonly enabled: boolean; readonly path?: string | undefined };
  /** Learns credentials from the image service that it is put in front of. */
  readonly cri: {
    readonly enabled: boolean;
    /** The socket of the real image service. */
    readonly imageServicePath: string;
    /** Default: the snapshotter's own socket. */
    readonly listenPath?: string | undefined;
  };
}

/** What the file says, in the words of this project. */
export interface ReferenceSettings {
  /** TCP address of the metrics; off if absent. */
  readonly metricsAddress?: string | undefined;
  readonly verification: VerificationPolicy;
  /** Whether files that are marked so are fetched before they are asked for. */
  readonly prefetch: boolean;
  /** Prefetch this many bytes of layers without a mark; 0 for none. */
  readonly prefetchSize: number;
  /** Whether the rest of a layer is fetched while nothing else is. */
  readonly backgroundFetch: boolean;
  /** How many layers are filled in the background at once, where it was said. */
  readonly backgroundConcurrency?: number | undefined;
  /** How long a registry may take to answer, in milliseconds; 0 for no limit; absent for the default. */
  readonly requestTimeoutMs?: number | undefined;
  /** How often a request is tried again, where it was said. */
  readonly maxRetries?: number | undefined;
  readonly debugLog: boolean;
  readonly keychains: KeychainSettings;
  /** Mirrors by registry. */
  readonly mirrors: ReadonlyMap<string, readonly MirrorConfig[]>;
  /** containerd's directory of `hosts.toml` files. */
  readonly certsDirectory?: string | undefined;
}

/** Settings, and what the file says in vain. */
export interface ReferenceConfig {
  readonly settings: ReferenceSettings;
  /** One sentence for each key that has no effect. */
  readonly warnings: readonly string[];
}

const CRI_SOCKET = "/run/containerd/containerd.sock";

/** Keys for which there is nothing to set here, with the reason. */
const MEANINGLESS: ReadonlyMap<string, string> = new Map([
  ...reasons("layers are kept in the store, once, verified", [
    "http_cache_type",
    "filesystem_cache_type",
    "directory_cache.max_lru_cache_entry",
    "directory_cache.max_cache_fds",
    "directory_cache.sync_add",
    "directory_cache.direct",
    "directory_cache.fadv_dontneed",
    "blob.chunk_size",
    "metadata_store",
  ]),
  ...reasons("ranges are planned by size and speed", [
    "blob.prefetch_chunk_size",
    "blob.force_single_range_mode",
    "blob.fetching_timeout_sec",
    "blob.min_wait_msec",
    "blob.max_wait_msec",
  ]),
  ...reasons("mounts do not depend on a connection", [
    "blob.valid_interval",
    "blob.check_always",
    "resolve_result_entry",
    "resolve_result_entry_ttl_sec",
    "prefetch_timeout_sec",
    "prefetch_async_size",
  ]),
  ...reasons("the kernel's EROFS serves metadata", [
    "fuse.attr_timeout",
    "fuse.entry_timeout",
    "fuse.passthrough",
    "fuse.merge_buffer_size",
    "fuse.merge_worker_count",
  ]),
  ...reasons("mounts survive the server by themselves", [
    "fuse_manager.enable",
    "fuse_manager.address",
    "fuse_manager.path",
    "fuse_manager.metrics_address",
    "snapshotter.allow_invalid_mounts_on_restart",
  ]),
  ...reasons("there is no such thing here", ["debug_address", "ipfs", "no_prometheus", "log_file_access"]),
]);

const seconds = v.pipe(v.number(), v.finite());
const mirrorSchema = v.looseObject({
  host: v.pipe(v.string(), v.nonEmpty()),
  insecure: v.optional(v.boolean()),
  request_timeout_sec: v.optional(seconds),
  header: v.optional(v.record(v.string(), v.union([v.string(), v.array(v.string())]))),
});
const hostSchema = v.looseObject({ mirrors: v.optional(v.array(mirrorSchema)) });
const count = v.pipe(v.number(), v.safeInteger());
const fileSchema = v.object({
  metrics_address: v.optional(v.string()),
  allow_no_verification: v.optional(v.boolean()),
  disable_verification: v.optional(v.boolean()),
  noprefetch: v.optional(v.boolean()),
  prefetch_size: v.optional(count),
  no_background_fetch: v.optional(v.boolean()),
  max_concurrency: v.optional(count),
  debug: v.optional(v.boolean()),
  blob: v.optional(v.object({ max_retries: v.optional(count) })),
  kubeconfig_keychain: v.optional(
    v.object({ enable_keychain: v.optional(v.boolean()), kubeconfig_path: v.optional(v.string()) }),
  ),
  cri_keychain: v.optional(
    v.object({
      enable_keychain: v.optional(v.boolean()),
      image_service_path: v.optional(v.string()),
      listen_path: v.optional(v.string()),
    }),
  ),
  resolver: v.optional(
    v.object({
      request_timeout_sec: v.optional(seconds),
      host: v.optional(v.record(v.string(), hostSchema)),
      config_path: v.optional(v.string()),
    }),
  ),
});

type ReferenceFile = v.InferOutput<typeof fileSchema>;

/**
 * Reads the text of such a file. Pure.
 *
 * @throws {EsgzError} `CONFIGURATION_INVALID` for text that is no TOML, or a key whose value has another type.
 */
export function parseReferenceConfig(text: string): ReferenceConfig {
  const table = parseTable(text);
  const result = v.safeParse(fileSchema, table);
  if (!result.success) {
    const [issue] = result.issues;
    const key = v.getDotPath(issue) ?? "the file";
    const message = `Cannot use configuration key "${key}": expected ${issue.expected ?? "another value"}, got ${issue.received}`;
    throw new EsgzError("CONFIGURATION_INVALID", message);
  }
  const warnings: string[] = [];
  collectWarnings(table, [], warnings);
  return { settings: settingsFrom(result.output, warnings), warnings };
}

function parseTable(text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    const [reason] = messageOf(cause).split("\n");
    throw new EsgzError("CONFIGURATION_INVALID", `Cannot parse configuration: ${reason}`, { cause });
  }
}

function settingsFrom(file: ReferenceFile, warnings: string[]): ReferenceSettings {
  const { resolver = {} } = file;
  const kubeconfig = file.kubeconfig_keychain ?? {};
  const cri = file.cri_keychain ?? {};
  return {
    metricsAddress: textIn(file.metrics_address),
    verification: {
      disabled: file.disable_verification ?? false,
      allowSkipping: file.allow_no_verification ?? false,
    },
    prefetch: file.noprefetch !== true,
    prefetchSize: Math.max(0, file.prefetch_size ?? 0),
    backgroundFetch: file.no_background_fetch !== true,
    backgroundConcurrency: positive(file.max_concurrency),
    requestTimeoutMs: timeoutMs(resolver.request_timeout_sec),
    maxRetries: positive(file.blob?.max_retries),
    debugLog: file.debug ?? false,
    keychains: {
      kubeconfig: { enabled: kubeconfig.enable_keychain ?? false, path: textIn(kubeconfig.kubeconfig_path) },
      cri: {
        enabled: cri.enable_keychain ?? false,
        imageServicePath: textIn(cri.image_service_path) ?? CRI_SOCKET,
        listenPath: textIn(cri.listen_path),
      },
    },
    mirrors: mirrorsIn(resolver, warnings),
    certsDirectory: textIn(resolver.config_path),
  };
}

/** `docker.io` is configured under the name that users know, and under that of its API. */
function mirrorsIn(
  resolver: NonNullable<ReferenceFile["resolver"]>,
  warnings: string[],
): ReadonlyMap<string, readonly MirrorConfig[]> {
  const unknownIn = (table: object, entries: object, key: string): void => {
    for (const name of Object.keys(table))
      if (!Object.hasOwn(entries, name)) warnings.push(`${key}.${name} is not a known key`);
  };
  const hosts = Object.entries(resolver.host ?? {});
  return new Map(
    hosts.map(([name, host]) => {
      const key = `resolver.host.${JSON.stringify(name)}`;
      unknownIn(host, hostSchema.entries, key);
      const mirrors = (host.mirrors ?? []).map((mirror, index) => {
        const mirrorKey = `${key}.mirrors[${index}]`;
        unknownIn(mirror, mirrorSchema.entries, mirrorKey);
        if (mirror.request_timeout_sec !== undefined) {
          warnings.push(
            `${mirrorKey}.request_timeout_sec has no effect: there is one time limit for all hosts, resolver.request_timeout_sec`,
          );
        }
        return mirrorFrom(mirror);
      });
      return [name === "registry-1.docker.io" ? "docker.io" : name, mirrors];
    }),
  );
}

function mirrorFrom({ header, host, insecure }: v.InferOutput<typeof mirrorSchema>): MirrorConfig {
  const headers = Object.entries(header ?? {}).map(([name, value]) => [
    name,
    typeof value === "string" ? value : value.join(", "),
  ]);
  return {
    url: host === "docker.io" ? "registry-1.docker.io" : host,
    ...(insecure === true ? { plainHttp: true } : {}),
    ...(headers.length === 0 ? {} : { headers: Object.fromEntries(headers) }),
  };
}

/** Walks the tables: what is neither used nor known to be meaningless is unknown. */
function collectWarnings(table: object, path: readonly string[], warnings: string[]): void {
  for (const [name, value] of Object.entries(table)) {
    const key = [...path, name];
    const dotted = key.join(".");
    const reason = MEANINGLESS.get(dotted);
    if (reason !== undefined) warnings.push(`${dotted} has no effect: ${reason}`);
    else if (isUsed(key)) {
      if (isTable(value) && dotted !== "resolver.host") collectWarnings(value, key, warnings);
    } else if (isTable(value) && hasKnownBelow(dotted)) collectWarnings(value, key, warnings);
    else warnings.push(`${dotted} is not a known key`);
  }
}

function isUsed(path: readonly string[]): boolean {
  const [section = "", key] = path;
  const entries: Readonly<Record<string, unknown>> = fileSchema.entries;
  if (!Object.hasOwn(entries, section)) return false;
  if (key === undefined) return true;
  const schema = entries[section] as { readonly wrapped?: { readonly entries?: object } };
  return Object.hasOwn(schema.wrapped?.entries ?? {}, key);
}

function hasKnownBelow(section: string): boolean {
  return [...MEANINGLESS.keys()].some((key) => key.startsWith(`${section}.`));
}

function isTable(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function textIn(value: string | undefined): string | undefined {
  return value === "" ? undefined : value;
}

/** Zero stands for the default there. */
function positive(value: number | undefined): number | undefined {
  return value === undefined || value <= 0 ? undefined : value;
}

/** Zero stands for the default, a negative number for no limit. */
function timeoutMs(value: number | undefined): number | undefined {
  if (value === undefined || value === 0) return undefined;
  return value < 0 ? 0 : value * 1000;
}

function reasons(reason: string, keys: readonly string[]): [string, string][] {
  return keys.map((key) => [key, reason]);
}
