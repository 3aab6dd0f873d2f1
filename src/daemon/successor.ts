/**
 * A holder that was killed gets a successor, from the server that it left behind.
 *
 * @module
 */
import { spawn } from "node:child_process";
import type { HolderChannel } from "./holder-channel.ts";
import type { ServerStart } from "./holder-messages.ts";
import type { HolderOptions } from "./run-holder.ts";
import { HOLDER_FLAGS, holderProgram } from "./holder-command.ts";

const FIRST_FD = 3;

/** Starts a holder with the sockets and FUSE sessions of this process, which is to end soon. */
export function startSuccessor(
  start: ServerStart,
  { sessions, config }: Pick<HolderChannel, "sessions"> & { readonly config: string },
): void {
  const fds = [...start.listening, ...sessions].map(({ fd }) => fd);
  const firstSession = FIRST_FD + start.listening.length;
  const options: HolderOptions = {
    settings: start.settings,
    inherited: {
      listening: start.listening.map((socket, index) => ({ ...socket, fd: FIRST_FD + index })),
      adopted: sessions.map((session, index) => ({ ...session, fd: firstSession + index })),
      restarts: start.restarts,
      startedMs: start.startedMs,
      lastConfig: config,
    },
  };
  const child = spawn(process.execPath, [...HOLDER_FLAGS, holderProgram(), JSON.stringify(options)], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", "inherit", "inherit", ...fds],
  });
  child.unref();
}
