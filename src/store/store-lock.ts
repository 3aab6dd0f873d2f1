/**
 * One writer at a time.
 *
 * The lock is an flock(2) on the file `lock`, so it ends with its process, also by SIGKILL. The pid in the file is for
 * messages only. Where flock is not to be had (no koffi for this platform), the pid is the lock: it holds while a
 * process with that number lives, so a recycled number keeps a store locked until the file is deleted.
 *
 * @module
 */
import { closeSync, ftruncateSync, readFileSync, writeSync } from "node:fs";
import { EsgzError } from "../errors/index.ts";
import { isProcessAlive, openOwnFileSync } from "../files/index.ts";
import { lockFile } from "./native-calls.ts";

/** A lock that this process holds until it is disposed. */
export interface StoreLock extends Disposable {
  /** What holds it. */
  readonly kind: "flock" | "pid";
}

/** How to lock a store. */
export interface StoreLockOptions {
  /** The number of this process, written into the file. */
  readonly pid: number;
  /** Tries flock(2) first; default true. */
  readonly flock?: boolean;
}

/**
 * Locks a store.
 *
 * @throws {EsgzError} `STORE_INVALID` while another process (or another opening in this one) has it; `details.pid` is
 * the number of that process where it is known.
 */
export function acquireStoreLock(path: string, options: StoreLockOptions): StoreLock {
  const fd = openOwnFileSync(path, 0o644);
  try {
    const outcome = options.flock === false ? undefined : lockFile(fd);
    if (outcome === "held") throw storeLocked(path, readPid(path));
    if (outcome === undefined) claimByPid(path);
    ftruncateSync(fd, 0);
    try {
      writeSync(fd, `${options.pid}\n`);
    } catch (error) {
      // On a full disk others are not told who has it; they are kept out all the same.
      if (outcome === undefined) throw error;
    }
    return createLock(fd, outcome === undefined ? "pid" : "flock");
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function createLock(fd: number, kind: "flock" | "pid"): StoreLock {
  let held = true;
  return {
    kind,
    [Symbol.dispose]: () => {
      if (!held) return;
      held = false;
      ftruncateSync(fd, 0);
      closeSync(fd);
    },
  };
}

function claimByPid(path: string): void {
  const holder = readPid(path);
  if (holder !== undefined && isProcessAlive(holder)) throw storeLocked(path, holder);
}

function readPid(path: string): number | undefined {
  const text = readFileSync(path, "latin1").slice(0, 16).trim();
  const pid = Number(text);
  return /^\d+$/.test(text) && pid > 0 ? pid : undefined;
}

function storeLocked(path: string, pid: number | undefined): EsgzError {
  const holder = pid === undefined ? "another process" : `process ${pid}`;
  return new EsgzError(
    "STORE_INVALID",
    `Cannot open store lock "${path}": expected no other user of the store, got ${holder}`,
    { details: { pid } },
  );
}
