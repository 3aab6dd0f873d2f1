/**
 * A filesystem whose every answer comes from the thread that serves it.
 */
import { DEFERRED, type Filesystem } from "../../src/fuse/index.ts";

/** Called in the worker of the FUSE server. */
export function createFilesystem(): Filesystem {
  return {
    lookup: () => DEFERRED,
    getattr: () => DEFERRED,
    open: () => DEFERRED,
    read: () => DEFERRED,
  };
}
