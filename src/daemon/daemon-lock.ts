/**
 * One daemon a store.
 *
 * @module
 */
import { closeSync, ftruncateSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { EsgzError, messageOf } from "../errors/index.ts";
import { makeDirectoriesSync, openOwnFileSync } from "../files/index.ts";
import { EWOULDBLOCK, loadNativeCalls } from "./native-calls.ts";

/** The right to be the daemon of a store, until it is disposed or the process ends. */
export interface DaemonLock extends Disposable {
  readonly path: string;
}

/**
 * Takes the lock, creating its file and directory.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` while another holder has it, with its `pid` in the details; `IO_FAILED`,
 * `NOT_SUPPORTED`
 */
export function acquireDaemonLock(path: string): DaemonLock {
  const fd = openLockFile(path);
  const result = loadNativeCalls().lock(fd);
  if (result < 0) {
    closeSync(fd);
    throw result === -EWOULDBLOCK ? alreadyRunning(path) : unusable(path, `errno ${-result}`);
  }
  ftruncateSync(fd, 0);
  try {
    writeSync(fd, `${process.pid}\n`);
  } catch {
    // On a full disk nobody is told which process has it; it has it all the same.
  }
  let held = true;
  return {
    path,
    [Symbol.dispose]: () => {
      if (!held) return;
      held = false;
      closeSync(fd);
    },
  };
}

function openLockFile(path: string): number {
  try {
    makeDirectoriesSync(dirname(path), { mode: 0o755 });
    return openOwnFileSync(path, 0o600);
  } catch (cause) {
    throw unusable(path, messageOf(cause), cause);
  }
}

function alreadyRunning(path: string): EsgzError {
  const text = readFileSync(path, "latin1").slice(0, 16).trim();
  const pid = /^\d+$/.test(text) ? Number(text) : undefined;
  return new EsgzError(
    "ALREADY_EXISTS",
    `Cannot start daemon of store "${dirname(path)}": expected none to run, got ${pid === undefined ? "one" : `process ${pid}`}`,
    { details: { pid } },
  );
}

function unusable(path: string, found: string, cause?: unknown): EsgzError {
  return new EsgzError("IO_FAILED", `Cannot lock "${path}": expected a file of one's own, got ${found}`, {
    cause,
  });
}
