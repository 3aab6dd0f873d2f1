/**
 * Sockets that the holder keeps and servers accept on.
 *
 * @module
 */
import { closeSync, constants, openSync, statSync, unlinkSync } from "node:fs";
import { basename, dirname } from "node:path";
import { EsgzError, messageOf, systemCodeOf } from "../errors/index.ts";
import { EAGAIN, loadNativeCalls } from "./native-calls.ts";
import { MAX_SOCKET_PATH } from "./socket-path.ts";

/** A socket that listens. */
export interface ListeningSocket {
  /** What it is for: `control`. */
  readonly name: string;
  readonly path: string;
  readonly fd: number;
  /** The inode behind the path, if this process made it. */
  readonly inode?: number;
}

/** Clients that may wait while no server accepts; the kernel's own bound (`somaxconn`) holds as well. */
const BACKLOG = 4096;
const OWNER_ONLY = 0o177;

/**
 * Makes a socket at a path, in place of what a dead daemon left there. Only its owner may connect. For whoever has the
 * daemon's lock.
 *
 * @throws {EsgzError} `IO_FAILED`, `NOT_SUPPORTED`
 */
export function openListeningSocket(name: string, path: string): ListeningSocket {
  const mask = process.umask(OWNER_ONLY);
  try {
    removeStale(path);
    const fd = withShortPath(path, (short) => loadNativeCalls().listen(short, BACKLOG));
    if (fd < 0) throw unusable(path, `errno ${-fd}`);
    return { name, path, fd, inode: statSync(path).ino };
  } finally {
    process.umask(mask);
  }
}

/**
 * Makes sure that nobody listens at a path: what a dead process left there may be.
 *
 * @throws {EsgzError} `ALREADY_EXISTS`, `NOT_SUPPORTED`
 */
export function assertNobodyListens(path: string): void {
  const result = withShortPath(path, (short) => loadNativeCalls().connect(short));
  if (result < 0 && result !== -EAGAIN) return;
  const text = `Cannot listen on "${path}": expected a free path, got a running server`;
  throw new EsgzError("ALREADY_EXISTS", text);
}

/** Closes a socket and, if this process made it, removes its path. */
export function closeListeningSocket({ fd, path, inode }: ListeningSocket): void {
  if (inode !== undefined && statSync(path, { throwIfNoEntry: false })?.ino === inode) unlinkSync(path);
  closeSync(fd);
}

/**
 * Runs work with a name for a socket that is short enough for the kernel: a long path goes through a descriptor of its
 * directory, which is open as long as the work runs.
 */
export function withShortPath<T>(path: string, work: (short: string) => T): T {
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH) return work(path);
  const directory = openDirectory(path);
  try {
    return work(`/proc/self/fd/${directory}/${basename(path)}`);
  } finally {
    closeSync(directory);
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(dirname(path), constants.O_DIRECTORY);
  } catch (cause) {
    throw unusable(path, messageOf(cause), cause);
  }
}

function removeStale(path: string): void {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
  } catch (cause) {
    if (systemCodeOf(cause) !== "ENOENT") throw unusable(path, messageOf(cause), cause);
  }
}

function unusable(path: string, found: string, cause?: unknown): EsgzError {
  return new EsgzError("IO_FAILED", `Cannot listen on "${path}": expected a free path, got ${found}`, {
    cause,
  });
}
