/**
 * Runs a holder as this process.
 *
 * @module
 */
import { closeSync, writeSync } from "node:fs";
import { EsgzError, isEsgzError, messageOf } from "../errors/index.ts";
import type { ControlFailure } from "./control-protocol.ts";
import { Holder, type HolderLegacy, type HolderState } from "./holder.ts";
import { logHolder } from "./holder-log.ts";
import type { DaemonSettings, ReadyLine } from "./holder-messages.ts";
import { activatedSockets, notifyService } from "./service-activation.ts";

/** What a holder process is told, as JSON in its first argument. */
export interface HolderOptions {
  readonly settings: DaemonSettings;
  /** A descriptor for one {@link ReadyLine}. */
  readonly readyFd?: number;
  readonly inherited?: HolderLegacy;
}

/**
 * Runs a holder until it is stopped: by SIGTERM or SIGINT, by a client, or since it is idle. SIGHUP starts a new server.
 *
 * @returns when it has ended; its mounts and sockets are gone.
 * @throws {EsgzError} `ALREADY_EXISTS` if the store has a daemon; what the first server failed with.
 */
export async function runHolder(options: HolderOptions): Promise<void> {
  // A directory that a process stands in cannot be unmounted.
  process.chdir("/");
  const { settings, inherited } = options;
  const report = reporter(options.readyFd);
  try {
    const activated = activatedSockets(process.env, process.pid);
    // Before there are sockets: who sees them may send a signal. It is taken in another turn, when the holder is there.
    using signals = handleSignals();
    const holder = Holder.open(
      { settings, activated, ...(inherited === undefined ? {} : { inherited }) },
      (state) => {
        if (state === "ready") report({ ready: true });
        tellService(state);
      },
    );
    signals.holder = holder;
    const { failure } = await holder.run();
    if (failure !== undefined)
      throw new EsgzError(failure.code, failure.message, { details: failure.details ?? {} });
  } catch (error) {
    report({ error: failureOf(error) });
    throw error;
  }
}

function tellService(state: HolderState): void {
  if (state === "ready") notifyService(process.env, ["READY=1", `MAINPID=${process.pid}`, "STATUS=serving"]);
  else if (state === "renewing") notifyService(process.env, ["STATUS=starting another server"]);
  else notifyService(process.env, ["STOPPING=1"]);
}

/** Writes one line, once: whoever waits for it is gone after that. */
function reporter(fd: number | undefined): (line: ReadyLine) => void {
  let open = fd;
  return (line) => {
    if (open === undefined) return;
    const target = open;
    open = undefined;
    try {
      writeSync(target, `${JSON.stringify(line)}\n`);
    } catch {
      // Nobody waits any more.
    }
    closeSync(target);
  };
}

function handleSignals(): Disposable & { holder: Holder | undefined } {
  const stop = (): void => signals.holder?.stop("asked");
  const renew = (): void => signals.holder?.renew();
  // A bug here must not cost the mounts.
  const survive = (error: unknown): void =>
    logHolder("error", "unexpected error", { error: error instanceof Error ? error.stack : String(error) });
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", renew).on("uncaughtException", survive);
  const signals = {
    holder: undefined as Holder | undefined,
    [Symbol.dispose]: () =>
      void process
        .off("SIGTERM", stop)
        .off("SIGINT", stop)
        .off("SIGHUP", renew)
        .off("uncaughtException", survive),
  };
  return signals;
}

function failureOf(error: unknown): ControlFailure {
  if (isEsgzError(error)) return { code: error.code, message: error.message, details: error.details };
  return { code: "INTERNAL", message: messageOf(error) };
}
