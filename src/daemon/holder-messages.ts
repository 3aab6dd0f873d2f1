/**
 * What holder and server say to each other, as JSON over the channel of `node:child_process`.
 *
 * ```text
 * holder                          server
 *   ── start ──────────────────────▶   begins to serve
 *   ◀────────────────────── ready ──   or failed, before it exits
 *   ◀────────────────────── adopt ──   a FUSE mount was made: keep its descriptor
 *   ── done ───────────────────────▶
 *   ◀──────────────────── release ──   a mount is gone
 *   ◀───────────────────── listen ──   sockets that the configuration asks for by now: for the next server
 *   ◀───────────────── stop, renew ──   what clients ask for, or idleness
 *   ── stop, retire ───────────────▶   end the mounts, or keep them for the next server; then exit
 * ```
 *
 * @module
 */
import type { Negotiated } from "../fuse/index.ts";
import type { ControlFailure } from "./control-protocol.ts";
import type { LogLevel } from "./daemon-config.ts";

/** How a daemon runs: plain data, as it stands in the arguments of its processes. */
export interface DaemonSettings {
  /** The root of the store, absolute. */
  readonly store: string;
  /** The configuration file; it has to exist, unless the next says otherwise. */
  readonly configPath?: string | undefined;
  readonly configIsOptional?: boolean;
  /** Whether a command started it: it ends by itself when it is idle. */
  readonly autoStarted?: boolean;
  /** How long it is idle until it ends, in place of what is configured; 0 is for ever. */
  readonly idleExitMs?: number | undefined;
  /** In place of what is configured. */
  readonly logLevel?: LogLevel | undefined;
  /** Directories for additional layer stores, absolute. */
  readonly layerStores?: readonly string[] | undefined;
  /** Sockets beside `control.sock`. */
  readonly sockets?: readonly SocketPlace[];
}

/** A socket to listen on. */
export interface SocketPlace {
  /** What it is for: see socket-names.ts. */
  readonly name: string;
  /** Absolute. */
  readonly path: string;
}

/** A FUSE session whose descriptor the holder keeps. */
export interface AdoptedSession {
  /** Chosen by the server. */
  readonly id: string;
  readonly fd: number;
  readonly negotiated: Negotiated;
  /** The mountpoint. */
  readonly target: string;
}

/** What a server needs to begin; descriptors are its own. */
export interface ServerStart {
  readonly settings: DaemonSettings;
  readonly listening: readonly (SocketPlace & { readonly fd: number })[];
  readonly adopted: readonly AdoptedSession[];
  readonly holderPid: number;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly restarts: number;
  /** The last configuration with which a server was ready: for when the file cannot be used any more. */
  readonly lastConfig?: string | undefined;
}

/** From the holder. */
export type ServerMessage =
  | { readonly kind: "start"; readonly start: ServerStart }
  | { readonly kind: "done"; readonly request: number; readonly failure?: string }
  /** Ends the mounts, then the process. */
  | { readonly kind: "stop" }
  /** Ends the process; another one goes on with the mounts. */
  | { readonly kind: "retire" };

/** From the server. */
export type HolderMessage =
  | { readonly kind: "ready"; readonly config: string }
  | { readonly kind: "failed"; readonly error: ControlFailure }
  | { readonly kind: "adopt"; readonly request: number; readonly session: AdoptedSession }
  | { readonly kind: "release"; readonly id: string }
  | { readonly kind: "listen"; readonly sockets: readonly SocketPlace[] }
  | { readonly kind: "stop"; readonly why: "asked" | "idle" }
  | { readonly kind: "renew" };

/** What the launcher of a detached holder learns from its descriptor 3: one line of JSON. */
export type ReadyLine = { readonly ready: true } | { readonly error: ControlFailure };
