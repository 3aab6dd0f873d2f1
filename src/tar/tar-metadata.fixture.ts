/**
 * Metadata for tests.
 *
 * @module
 */
import type { TarMetadata } from "./index.ts";

/** A plain empty file, changed by `changes`. */
export function metadataOf(changes: Partial<TarMetadata> = {}): TarMetadata {
  return {
    name: "file",
    type: "reg",
    size: 0,
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: "",
    groupName: "",
    mtime: { seconds: 1_700_000_000, nanoseconds: 0 },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...changes,
  };
}
