/**
 * Who uses a mount.
 *
 * @module
 */
import { readdir, readFile, readlink } from "node:fs/promises";
import { mapConcurrent } from "../async/index.ts";

/** A process that has something open below a directory, works in it, or runs a program of it. */
export interface MountUser {
  readonly pid: number;
  /** As `ps` shows it. */
  readonly name: string;
}

const LINKS = ["cwd", "root", "exe"];

/**
 * The processes that use what is mounted at or below a directory, of those that this process may look at. Only the names
 * of open files are looked at, which asks no filesystem.
 */
export async function findMountUsers(directory: string): Promise<MountUser[]> {
  const pids = (await namesIn("/proc")).filter((name) => /^\d+$/.test(name));
  const isBelow = (path: string): boolean => path === directory || path.startsWith(`${directory}/`);
  const find = async (pid: string): Promise<MountUser[]> => {
    const open = (await namesIn(`/proc/${pid}/fd`)).map((fd) => `fd/${fd}`);
    const mapped = (await namesIn(`/proc/${pid}/map_files`)).map((range) => `map_files/${range}`);
    for (const link of [...LINKS, ...open, ...mapped]) {
      if (isBelow(await linkText(`/proc/${pid}/${link}`))) {
        return [{ pid: Number(pid), name: await commandOf(pid) }];
      }
    }
    return [];
  };
  return (await mapConcurrent(pids, find, { concurrency: 4 })).flat();
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch {
    // It ended, or is not ours to see.
    return [];
  }
}

async function linkText(path: string): Promise<string> {
  try {
    return await readlink(path);
  } catch {
    return "";
  }
}

async function commandOf(pid: string): Promise<string> {
  try {
    return (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
  } catch {
    return "unknown";
  }
}
