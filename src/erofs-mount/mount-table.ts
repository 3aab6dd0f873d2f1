/**
 * What is mounted where, in the namespace of this process.
 *
 * @module
 */
import { readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { systemCodeOf } from "../errors/index.ts";
import { parseMountInfo, type MountInfo } from "./mountinfo.ts";

/** How a table is read. */
export interface MountTableOptions {
  readonly signal?: AbortSignal | undefined;
}

/** How many symbolic links may follow each other. */
const LINK_LIMIT = 40;

/** All mounts, in the kernel's order. */
export async function readMountTable(options: MountTableOptions = {}): Promise<MountInfo[]> {
  return parseMountInfo(await readFile("/proc/self/mountinfo", { signal: options.signal }));
}

/** The mounts at a place, the topmost last. @param place an absolute path without links */
export async function readMountsAt(place: string): Promise<MountInfo[]> {
  return parseMountInfo(await readFile("/proc/self/mountinfo"), { at: place });
}

/** Whether a directory (or file) is a mount point. False for what does not exist. */
export async function isMounted(directory: string, options: MountTableOptions = {}): Promise<boolean> {
  const place = await mountPointPath(directory);
  const table = await readMountTable(options);
  return place !== undefined && table.some(({ mountPoint }) => mountPoint === place);
}

/** The mounts below a directory, not at it, in an order in which they can be unmounted: the innermost first. */
export async function listMountsBelow(root: string, options: MountTableOptions = {}): Promise<MountInfo[]> {
  const place = await mountPointPath(root);
  return place === undefined ? [] : mountsBelow(await readMountTable(options), place);
}

/** The mounts of a table below an absolute path without links, the innermost first. */
export function mountsBelow(table: readonly MountInfo[], root: string): MountInfo[] {
  const prefix = root.endsWith("/") ? root : `${root}/`;
  const depths = depthsOf(table);
  return table
    .filter(({ mountPoint }) => mountPoint.startsWith(prefix) && mountPoint !== prefix)
    .reverse()
    .sort((a, b) => (depths.get(b.id) ?? 0) - (depths.get(a.id) ?? 0));
}

/**
 * The absolute path of a mount point without symbolic links, as the table has it; undefined if nothing lies there.
 *
 * Not `realpath` of the whole: it may ask the filesystem at the mount point, whose server may be dead.
 */
export async function mountPointPath(directory: string): Promise<string | undefined> {
  let path = resolve(directory);
  for (let links = 0; links < LINK_LIMIT; links += 1) {
    try {
      const parent = path === "/" ? "/" : await realpath(dirname(path));
      const place = join(parent, basename(path));
      const target = await linkTarget(place);
      if (target === undefined) return place;
      path = resolve(parent, target);
    } catch (error) {
      if (["ENOENT", "ENOTDIR", "ELOOP"].includes(systemCodeOf(error) ?? "")) return undefined;
      throw error;
    }
  }
  return undefined;
}

async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") throw error;
    return undefined;
  }
}

/** How many mounts each mount lies on. Mounts over one another at one place count too. */
function depthsOf(table: readonly MountInfo[]): ReadonlyMap<number, number> {
  const parents = new Map(table.map(({ id, parentId }) => [id, parentId]));
  const depths = new Map<number, number>();
  for (const { id } of table) {
    const chain: number[] = [];
    for (
      let at: number | undefined = id;
      at !== undefined && !depths.has(at) && !chain.includes(at);
      at = parents.get(at)
    )
      chain.push(at);
    const below = chain.at(-1);
    let depth = below === undefined ? 0 : (depths.get(parents.get(below) ?? -1) ?? 0);
    for (const one of chain.reverse()) depths.set(one, (depth += 1));
  }
  return depths;
}
