/**
 * One pull at a time into a directory.
 *
 * The file names the process that pulls, as `PID TICKS`: a process that ended holds nothing, nor does the one that has its number
 * now. A process of another machine, or of another container, is taken for one that ended.
 *
 * @module
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { EsgzError, systemCodeOf } from "../errors/index.ts";
import { isRunning, processOf } from "../files/index.ts";

/** The name of the file, in the directory of a pull's state. */
export const OWNER_NAME = "owner";

/**
 * Takes a state directory for this process until it is given back with {@linkcode releaseOwnership}.
 *
 * @throws {EsgzError} `ALREADY_EXISTS` while another pull has it; system errors as they are.
 */
export function takeOwnership(state: string): void {
  const path = join(state, OWNER_NAME);
  const mine = `${path}.${process.pid}`;
  const ticks = processOf(process.pid)?.startTicks ?? "";
  writeFileSync(mine, `${process.pid} ${ticks}`);
  try {
    // Whoever comes at the same time may have put another one there.
    while (!isLinked(mine, path)) dropEnded(path);
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Gives a state directory back. Idempotent. */
export function releaseOwnership(state: string): void {
  rmSync(join(state, OWNER_NAME), { force: true });
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

/** Takes away the note of a process that has ended. */
function dropEnded(path: string): void {
  assertEnded(path);
  const taken = `${path}.${process.pid}.old`;
  try {
    renameSync(path, taken);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return;
    throw error;
  }
  try {
    assertEnded(taken);
  } catch (error) {
    // Somebody else was faster, and it is theirs.
    isLinked(taken, path);
    throw error;
  } finally {
    rmSync(taken, { force: true });
  }
}

function assertEnded(path: string): void {
  const [pid = "", startTicks = ""] = readOwner(path).split(" ");
  if (!isRunning({ pid: Number(pid), startTicks })) return;
  throw new EsgzError(
    "ALREADY_EXISTS",
    `Cannot pull into directory "${dirname(dirname(path))}": expected nobody else to, got process ${pid} that does`,
    { details: { pid } },
  );
}

function readOwner(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return "";
    throw error;
  }
}
