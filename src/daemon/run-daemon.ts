/**
 * Runs a daemon in the foreground.
 *
 * @module
 */
import { HOLDER_FLAGS, holderProgram } from "./holder-command.ts";
import type { HolderOptions } from "./run-holder.ts";
import { activatedSockets } from "./service-activation.ts";

/**
 * Becomes the holder of a store's daemon: this process is replaced by a smaller one, where Node can do that, and this call
 * does not return then. Else it returns when the daemon has ended.
 *
 * @throws {EsgzError} where this process could not be replaced, as `runHolder()`
 */
export async function runDaemon(options: HolderOptions): Promise<void> {
  if (typeof process.execve === "function" && !process.execArgv.includes(HOLDER_FLAGS[0] ?? "")) {
    await keepActivatedSockets();
    const argv = [process.execPath, ...HOLDER_FLAGS, holderProgram(), JSON.stringify(options)];
    process.execve(process.execPath, argv, process.env);
  }
  const { runHolder } = await import("./run-holder.ts");
  await runHolder(options);
}

/** Node closes, in whatever it becomes, all that it was started with. */
async function keepActivatedSockets(): Promise<void> {
  const sockets = activatedSockets(process.env, process.pid);
  if (sockets.length === 0) return;
  const { loadNativeCalls } = await import("./native-calls.ts");
  for (const { fd } of sockets) loadNativeCalls().setInherited(fd, true);
}
