/**
 * Starts a daemon that outlives the process that starts it.
 *
 * @module
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, renameSync, statSync } from "node:fs";
import type { Readable } from "node:stream";
import { EsgzError, messageOf } from "../errors/index.ts";
import { openOwnFileSync } from "../files/index.ts";
import { errorFrom } from "./control-failure.ts";
import { daemonFilesOf } from "./daemon-files.ts";
import { HOLDER_FLAGS, holderProgram, holderVariables } from "./holder-command.ts";
import type { DaemonSettings, ReadyLine } from "./holder-messages.ts";
import type { HolderOptions } from "./run-holder.ts";
import { splitLines } from "./split-lines.ts";
import { inStoreDirectory } from "./store-directory.ts";

const READY_FD = 3;
const MAX_LOG_BYTES = 8 << 20;

/**
 * Starts a daemon in a session of its own and waits until it serves.
 *
 * @throws {EsgzError} what it failed with: `ALREADY_EXISTS` if the store has one; `DAEMON_UNAVAILABLE` if it does not say.
 */
export async function startDaemon(
  settings: DaemonSettings,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<void> {
  const { log } = daemonFilesOf(settings.store);
  const child = spawnHolder(settings, log);
  try {
    await begun(child, settings.store);
    const line = await readyLine(child, options.signal);
    if (line === undefined) throw silent(settings.store, log);
    if ("error" in line) throw errorFrom(line.error);
  } finally {
    (child.stdio as ChildProcess["stdio"] | undefined)?.[READY_FD]?.destroy();
    child.unref();
  }
}

function spawnHolder(settings: DaemonSettings, log: string): ChildProcess {
  const options: HolderOptions = { settings, readyFd: READY_FD };
  const output = inStoreDirectory(settings.store, () => openLog(log));
  try {
    return spawn(process.execPath, [...HOLDER_FLAGS, holderProgram(), JSON.stringify(options)], {
      cwd: "/",
      env: holderVariables(),
      detached: true,
      stdio: ["ignore", output, output, "pipe"],
    });
  } finally {
    closeSync(output);
  }
}

/** Without descriptors or memory for a process, nothing of it is there. @throws {EsgzError} `DAEMON_UNAVAILABLE` */
async function begun(child: ChildProcess, store: string): Promise<void> {
  try {
    await once(child, "spawn");
  } catch (cause) {
    throw new EsgzError(
      "DAEMON_UNAVAILABLE",
      `Cannot start daemon of store "${store}": expected a process, got ${messageOf(cause)}`,
      { cause },
    );
  }
}

async function readyLine(
  child: ChildProcess,
  signal: AbortSignal | undefined,
): Promise<ReadyLine | undefined> {
  const stream = child.stdio[READY_FD] as Readable;
  const onAbort = (): void => void stream.destroy();
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  try {
    for await (const line of splitLines(stream)) return JSON.parse(line) as ReadyLine;
    return undefined;
  } finally {
    signal?.removeEventListener("abort", onAbort);
    signal?.throwIfAborted();
  }
}

function openLog(path: string): number {
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) > MAX_LOG_BYTES) renameSync(path, `${path}.old`);
  return openOwnFileSync(path, 0o600);
}

function silent(store: string, log: string): EsgzError {
  return new EsgzError(
    "DAEMON_UNAVAILABLE",
    `Cannot start daemon of store "${store}": expected it to serve, got its end; "${log}" may say why`,
  );
}
