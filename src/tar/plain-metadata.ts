import type { TarMetadata } from "./tar-entry.ts";

/**
 * Metadata with nothing special: an empty regular file of root with mode 0644, from 1970, the same whoever writes it and
 * whenever. `changes` are what there is to say.
 */
export function plainMetadata(changes: Partial<TarMetadata> & Pick<TarMetadata, "name">): TarMetadata {
  return {
    type: "reg",
    size: 0,
    mode: 0o644,
    uid: 0,
    gid: 0,
    userName: "",
    groupName: "",
    mtime: { seconds: 0, nanoseconds: 0 },
    linkName: "",
    devMajor: 0,
    devMinor: 0,
    xattrs: new Map(),
    ...changes,
  };
}
