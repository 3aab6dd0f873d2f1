/**
 * FUSE connections that live longer than the process that serves them, because somebody else has their descriptor too.
 *
 * @module
 */
import type { Negotiated } from "../fuse/index.ts";

/** A mounted FUSE connection that is handed on to this process. */
export interface AdoptedFuse {
  /** As it was told to the keeper. */
  readonly id: string;
  /** The device; this process closes it when the mount is gone. */
  readonly fd: number;
  readonly negotiated: Negotiated;
  /** Where it is mounted. */
  readonly target: string;
}

/** Whoever keeps descriptors while servers come and go. */
export interface FuseKeeper {
  /** Takes a copy of a descriptor of this process, before anything depends on the mount. */
  readonly adopt: (fuse: AdoptedFuse & { readonly pid: number }) => Promise<void>;
  /** Closes the copy: the mount is gone. `fd` is this process's descriptor, or was. */
  readonly disown: (id: string, fd: number) => Promise<void>;
}
