/**
 * Whether the process whose number a file keeps still runs.
 *
 * @module
 */
import { systemCodeOf } from "../errors/index.ts";

/** Whether a process of this number can be seen from here: it may be another than the one that wrote the number down. */
export function isProcessAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return systemCodeOf(error) === "EPERM";
  }
}
