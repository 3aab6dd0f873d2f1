/**
 * Runs a daemon in the foreground.
 *
 * @module
 */
import { daemonFilesOf } from "./daemon-files.ts";
import { HOLDER_FLAGS, holderProgram, holderVariables } from "./holder-command.ts";
import type { HolderOptions } from "./run-holder.ts";
import { activatedSockets } from "./service-activation.ts";

/**
 * Becomes the holder of a store's daemon: this process is replaced by a smaller one, where Node can do that, and this call
 * does not return then. Until then SIGTERM and SIGINT end this process, whoever listens for them. Else it returns when the
 * daemon has ended.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` if the store has a daemon; where this process could not be replaced, as `runHolder()`
 */
export async function runDaemon(options: HolderOptions): Promise<void> {
  if (typeof process.execve === "function" && !process.execArgv.includes(HOLDER_FLAGS[0] ?? "")) {
    // There is nothing to put in order, and nobody who would hear of them later.
    for (const name of ENDING_SIGNALS) process.removeAllListeners(name);
    // What is to be said in this process's own way is said now.
    await assertNoDaemon(options.settings.store);
    await keepActivatedSockets();
    const argv = [process.execPath, ...HOLDER_FLAGS, holderProgram(), JSON.stringify(options)];
    process.execve(process.execPath, argv, holderVariables());
  }
  const { runHolder } = await import("./run-holder.ts");
  await runHolder(options);
}

const ENDING_SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** By its lock: to ask it would be to wait for oneself, where systemd has opened the socket. */
async function assertNoDaemon(store: string): Promise<void> {
  const { acquireDaemonLock } = await import("./daemon-lock.ts");
  acquireDaemonLock(daemonFilesOf(store).lock)[Symbol.dispose]();
}

/** Node closes, in whatever it becomes, all that it was started with. */
async function keepActivatedSockets(): Promise<void> {
  const sockets = activatedSockets(process.env, process.pid);
  if (sockets.length === 0) return;
  const { loadNativeCalls } = await import("./native-calls.ts");
  for (const { fd } of sockets) loadNativeCalls().setInherited(fd, true);
}
