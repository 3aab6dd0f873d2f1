import type { ChildProcess } from "node:child_process";

/** For tests: ends a process, if there is one that has not ended, and waits for its end. */
export async function endChild(
  child: ChildProcess | undefined,
  signal: NodeJS.Signals = "SIGTERM",
): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((ended) => child.once("exit", ended));
  child.kill(signal);
  await gone;
}
