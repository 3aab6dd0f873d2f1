/**
 * One pull at a time to what several could write.
 *
 * A file names the process that does, as `PID TICKS`: a process that ended holds nothing, nor does the one that has its number
 * now. A process of another machine, or of another container, is taken for one that ended.
 *
 * @module
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { systemCodeOf } from "../errors/index.ts";
import { isRunning, processOf } from "../files/index.ts";

/**
 * Takes what a file stands for, until it is given back with {@linkcode releaseOwnership}; undefined then, else the number of the
 * process that has it, which may be this one.
 *
 * @throws system errors as they are
 */
export function takeOwnership(path: string): number | undefined {
  const mine = `${path}.${process.pid}`;
  const ticks = processOf(process.pid)?.startTicks ?? "";
  writeFileSync(mine, `${process.pid} ${ticks}`);
  try {
    // Whoever comes at the same time may have put another one there.
    while (!isLinked(mine, path)) {
      const holder = holderOf(path) ?? dropEnded(path);
      if (holder !== undefined) return holder;
    }
    return undefined;
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Gives it back. Idempotent. */
export function releaseOwnership(path: string): void {
  rmSync(path, { force: true });
}

/** Gives a file its second name; false if that is taken. */
function isLinked(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (systemCodeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Takes away the note of a process that has ended; the number of one that has not, and was faster. */
function dropEnded(path: string): number | undefined {
  const taken = `${path}.${process.pid}.old`;
  try {
    renameSync(path, taken);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return undefined;
    throw error;
  }
  const holder = holderOf(taken);
  if (holder !== undefined) isLinked(taken, path);
  rmSync(taken, { force: true });
  return holder;
}

function holderOf(path: string): number | undefined {
  const [pid = "", startTicks = ""] = readNote(path).split(" ");
  return isRunning({ pid: Number(pid), startTicks }) ? Number(pid) : undefined;
}

function readNote(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return "";
    throw error;
  }
}
