/**
 * Opening files that a program keeps for itself.
 *
 * @module
 */
import { constants, openSync } from "node:fs";

const OWN = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;

/**
 * Opens a file to read it and to write at its end, made with `mode` if it is missing. A symlink in its place is not followed:
 * what it leads to, such as a file of the system, would be overwritten.
 *
 * @returns the descriptor, the caller's.
 * @throws errors of the system: `ELOOP` for a symlink
 */
export function openOwnFileSync(path: string, mode: number): number {
  return openSync(path, OWN, mode);
}
