/**
 * Telling a process from another one that has its number later.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** A process: its number, and when it began. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of `/proc/PID/stat`: ticks since the machine started. */
  readonly startTicks: string;
}

const START_FIELD = 22;
/** The first fields are the number, and the name in parentheses, which may hold anything. */
const FIELDS_OF_NAME = 2;

/** The process that has a number now; undefined if there is none, or it has ended. */
export function processOf(pid: number): ProcessIdentity | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    const startTicks = fields[START_FIELD - FIELDS_OF_NAME - 1];
    const hasEnded = fields[0] === "Z" || fields[0] === "X";
    return startTicks === undefined || hasEnded ? undefined : { pid, startTicks };
  } catch {
    return undefined;
  }
}

/** Whether a process has not ended. */
export function isRunning(process: ProcessIdentity): boolean {
  return processOf(process.pid)?.startTicks === process.startTicks;
}
