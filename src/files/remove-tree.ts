/**
 * Removing directories, whatever their permissions.
 *
 * @module
 */
import { chmod, lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../errors/index.ts";
import { ifExists } from "./if-exists.ts";

/** Whoever may list, enter and change a directory may remove what is in it. */
const OWNER_ALL = 0o700;

/**
 * Removes a directory with all that is in it; nothing happens if there is none. Directories that their owner closed are opened
 * first: overlayfs leaves one of mode 0 behind, and programs in a container leave others. Links are not followed.
 *
 * @throws what the system says, of what belongs to others
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    if (systemCodeOf(error) !== "EACCES") throw error;
    await openDirectories(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function openDirectories(path: string): Promise<void> {
  const found = await ifExists(lstat(path));
  if (found?.isDirectory() !== true) return;
  if ((found.mode & OWNER_ALL) !== OWNER_ALL) await chmod(path, found.mode | OWNER_ALL);
  for (const entry of await readdir(path, { withFileTypes: true }))
    if (entry.isDirectory()) await openDirectories(join(path, entry.name));
}
