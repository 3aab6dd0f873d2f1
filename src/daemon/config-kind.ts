/**
 * Tells whose configuration file one is.
 *
 * @module
 */
import { parse } from "smol-toml";
import { CONFIG_KEYS } from "./config-schema.ts";

/** Keys of the reference's file that no file of esgz has. `snapshotter` is in both. */
const REFERENCE_KEYS: ReadonlySet<string> = new Set([
  "allow_no_verification",
  "blob",
  "cri_keychain",
  "debug",
  "debug_address",
  "directory_cache",
  "disable_verification",
  "filesystem_cache_type",
  "fuse",
  "fuse_manager",
  "http_cache_type",
  "ipfs",
  "kubeconfig_keychain",
  "log_file_access",
  "max_concurrency",
  "metadata_store",
  "metrics_address",
  "no_background_fetch",
  "no_prometheus",
  "noprefetch",
  "prefetch_async_size",
  "prefetch_size",
  "prefetch_timeout_sec",
  "resolve_result_entry",
  "resolve_result_entry_ttl_sec",
  "resolver",
]);

/** Whether a text, by its top keys, is one for containerd-stargz-grpc: it has one of its keys, and none of esgz alone. */
export function isReferenceConfig(text: string): boolean {
  const keys = topKeys(text);
  const isOwn = (key: string): boolean => CONFIG_KEYS.has(key) && key !== "snapshotter";
  return keys.some((key) => REFERENCE_KEYS.has(key)) && !keys.some(isOwn);
}

/** None of a text that is no TOML: whoever reads it says so. */
function topKeys(text: string): readonly string[] {
  try {
    return Object.keys(parse(text));
  } catch {
    return [];
  }
}
