/**
 * The FUSE filesystem of an additional layer store, as its thread sees it: few requests, all of which may need a registry, so
 * all are deferred.
 *
 * @module
 */
import { createAttributes, DEFERRED, ROOT_NODE, type Filesystem } from "../fuse/index.ts";

/** Called in the worker of the FUSE server; there is no data. */
export function createFilesystem(): Filesystem {
  const attributes = createAttributes("dir", { inode: ROOT_NODE, permissions: 0o700 });
  return {
    lookup: () => DEFERRED,
    // Who takes the mount away asks for nothing else.
    getattr: (node) => (node === ROOT_NODE ? { attributesTimeoutMs: Infinity, attributes } : DEFERRED),
    readlink: () => DEFERRED,
    readdir: () => DEFERRED,
    // No listing is cached: layers come and go.
    opendir: () => ({ keepCache: false }),
    open: () => DEFERRED,
    read: () => DEFERRED,
    refuse: () => DEFERRED,
  };
}
