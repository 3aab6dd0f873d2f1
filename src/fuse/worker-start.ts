/**
 * What the threads of a server tell each other.
 *
 * @module
 */
import type { Filesystem } from "./filesystem.ts";
import type { FuseConnection } from "./fuse-connection.ts";
import type { Negotiated } from "./negotiate-init.ts";

/** What a module that holds a filesystem exports. */
export interface FilesystemModule {
  /** Called once on each thread that serves; `data` is what was given to `serveFuse()`. */
  readonly createFilesystem: (data: unknown, connection: FuseConnection) => Filesystem | Promise<Filesystem>;
}

/** What a worker gets when it starts. */
export interface WorkerStart {
  readonly fd: number;
  readonly wakeFd: number | undefined;
  /** Set to 1, then woken: the loop ends. */
  readonly stop: Int32Array;
  readonly filesystem: string;
  readonly data: unknown;
  readonly negotiated: Negotiated;
  /** Somebody on the main thread answers what is deferred. */
  readonly hasDeferred: boolean;
}

/** What a worker says. */
export type WorkerMessage =
  | { readonly kind: "ready" }
  | { readonly kind: "deferred"; readonly message: Uint8Array }
  | { readonly kind: "error"; readonly error: unknown; readonly request: string }
  | { readonly kind: "done"; readonly outcome: "ended" | "stopped" };
