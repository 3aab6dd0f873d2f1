/**
 * What a container is run with.
 *
 * @module
 */
import type { Clock } from "../async/index.ts";
import type { ContainerStdio, SignalSource } from "./container-process.ts";
import type { ContainerOptions } from "./create-runtime-spec.ts";
import type { ContainerHost } from "./user-namespace.ts";

/** The root of a container. */
export type ContainerRootfs =
  /** A directory that has everything. It is written to, unless the container is `readonly`. */
  | { readonly kind: "directory"; readonly path: string }
  /** Directories to mount over one another, in a mount namespace that nobody else sees. */
  | {
      readonly kind: "overlay";
      /** The topmost first. */
      readonly lower: string | readonly string[];
      readonly upper: string;
      /** Empty, and on the filesystem of `upper`. */
      readonly work: string;
    };

/** What starts a container: a runtime, or programs that stand in for one. */
export type RuntimeKind = "runc" | "crun" | "none";

/** What to run, and where. */
export interface RunContainerOptions extends ContainerOptions {
  readonly rootfs: ContainerRootfs;
  readonly host: ContainerHost;
  /** Below it the container has a private directory while it runs. Made if it is missing. */
  readonly stateDirectory: string;
  /** Default: the first of runc and crun that is there, else none. */
  readonly runtime?: RuntimeKind | undefined;
  /** Default: that of this process. */
  readonly stdio?: ContainerStdio | undefined;
  /** Signals to pass on to the container: `process`, for all that this process gets. */
  readonly signals?: SignalSource | undefined;
  /** Stops the container: first with the image's stop signal, then with SIGKILL. */
  readonly signal?: AbortSignal | undefined;
  /** How long a container may take to stop. Default: 10 s. */
  readonly stopTimeoutMs?: number | undefined;
  readonly clock?: Clock | undefined;
  /** Sentences for the user about what is not as usual. */
  readonly onNote?: ((text: string) => void) | undefined;
}
