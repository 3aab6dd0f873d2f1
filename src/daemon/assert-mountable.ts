/**
 * Where images may not be mounted.
 *
 * @module
 */
import { realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { EsgzError } from "../errors/index.ts";

/** What a daemon, and who wants to unmount something, looks into. */
const NEEDED = ["/dev", "/proc", "/sys"];

/**
 * Asserts that a mount at a directory covers nothing that is needed to end it: the store with its socket, and what the
 * kernel tells of mounts and devices.
 *
 * @throws {EsgzError} `REQUEST_INVALID`; a system error if there is no such directory.
 */
export async function assertMountable(directory: string, store: string): Promise<void> {
  const place = join(await realpath(directory), sep);
  const covered = [...NEEDED, await realpath(store)].find((path) => join(path, sep).startsWith(place));
  if (covered === undefined) return;
  throw new EsgzError(
    "REQUEST_INVALID",
    `Cannot mount at "${directory}": expected a directory that does not cover "${covered}", got one that does`,
  );
}
