/**
 * From a store to its daemon, which is started where there is none.
 *
 * @module
 */
import { systemClock } from "../async/index.ts";
import { EsgzError, isEsgzError, systemCodeOf } from "../errors/index.ts";
import type { CallOptions } from "./control-connection.ts";
import { DaemonClient } from "./daemon-client.ts";
import { daemonFilesOf } from "./daemon-files.ts";
import { ensureStoreDirectory } from "./store-directory.ts";

/** Which daemon. */
export interface ConnectOptions extends CallOptions {
  /** The root of the store, absolute. */
  readonly store: string;
  /** How to start one; without it, there has to be one. */
  readonly start?: StartOptions | undefined;
}

/** How a daemon is started that ends by itself when it is idle. */
export interface StartOptions {
  /** The configuration file; default: the user's or the system's, if there is one. */
  readonly configPath?: string | undefined;
  /** In place of what is configured. */
  readonly idleExitMs?: number | undefined;
}

const WAIT_MS = 15_000;
const PAUSE_MS = 25;
/** Only its owner may connect to a daemon. */
const DENIED = new Set(["EACCES", "EPERM"]);

/**
 * Connects to the daemon of a store. Resolves when it serves.
 *
 * @throws {EsgzError} `DAEMON_UNAVAILABLE` if there is none and none is to be started, or only its owner may use it
 * (`details.denied`); what a daemon that was started
 * failed with.
 */
export async function connectDaemon(options: ConnectOptions): Promise<DaemonClient> {
  const { store, start, signal } = options;
  if (start !== undefined) ensureStoreDirectory(store);
  const path = daemonFilesOf(store).control;
  const revive =
    start === undefined ? undefined : (call: CallOptions) => startOnce(store, { ...start, ...call });
  const client = new DaemonClient(path, { revive });
  try {
    await client.info({ signal });
    return client;
  } catch (error) {
    await client.close();
    signal?.throwIfAborted();
    if (DENIED.has(systemCodeOf(causeOf(error)) ?? "")) throw anotherUsers(store, error);
    if (start === undefined && isEsgzError(error, "DAEMON_UNAVAILABLE")) throw noDaemon(store, error);
    throw error;
  }
}

/** Starts a daemon, or waits for the one that somebody else starts at the same time. */
async function startOnce(store: string, { signal, ...start }: StartOptions & CallOptions): Promise<void> {
  const { startDaemon } = await import("./start-daemon.ts");
  const endMs = systemClock.nowMs() + WAIT_MS;
  for (;;) {
    try {
      await startDaemon({ store, autoStarted: true, ...start }, { signal });
      return;
    } catch (error) {
      // Another one has the lock: it serves soon, or is about to end.
      if (!isEsgzError(error, "ALREADY_EXISTS") || systemClock.nowMs() > endMs) throw error;
      if (await answers(store, signal)) return;
      await systemClock.sleep(PAUSE_MS, { signal });
    }
  }
}

async function answers(store: string, signal: AbortSignal | undefined): Promise<boolean> {
  await using client = new DaemonClient(daemonFilesOf(store).control);
  try {
    await client.info({ signal });
    return true;
  } catch (error) {
    if (!isEsgzError(error, "DAEMON_UNAVAILABLE")) throw error;
    return false;
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof EsgzError ? error.cause : error;
}

function anotherUsers(store: string, cause: unknown): EsgzError {
  return new EsgzError(
    "DAEMON_UNAVAILABLE",
    `Cannot reach daemon of store "${store}": expected this user's, got that of another user`,
    { cause, details: { denied: true } },
  );
}

function noDaemon(store: string, cause: unknown): EsgzError {
  return new EsgzError(
    "DAEMON_UNAVAILABLE",
    `Cannot reach daemon of store "${store}": expected one to run, got none`,
    {
      cause,
    },
  );
}
