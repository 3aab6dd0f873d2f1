/**
 * Looking at files of a root filesystem without ever leaving it, whatever its symlinks say.
 *
 * @module
 */
import { constants, type Stats } from "node:fs";
import { lstat, open, readlink } from "node:fs/promises";
import { join } from "node:path";
import { systemCodeOf } from "../errors/index.ts";

/** A root filesystem: directories over one another, the topmost first. */
export interface RootView {
  readonly directories: readonly string[];
}

/** What lies at a path of a root. */
export interface RootPlace {
  /** An absolute path inside the root, without symlinks. */
  readonly path: string;
  /** The same on the machine, in the topmost directory that has it. */
  readonly place: string;
  readonly stats: Stats;
}

/** As many as the kernel follows. */
const MAX_LINKS = 40;
/** A device node of this number hides what lies below it in an overlay. */
const WHITEOUT_DEVICE = 0;

/** A place with the directories that are merged there, the topmost first; none for what is no directory. */
interface MergedPlace extends RootPlace {
  readonly merged: readonly string[];
}

/** A path of a root without symlinks, whether it exists or not. */
export interface ResolvedPath {
  readonly path: string;
  /** What is there; undefined for what is not. */
  readonly found: RootPlace | undefined;
}

/** Finds a path in a root, as {@link resolveInRoot} does; undefined if it is not there, or its links go in circles. */
export async function findInRoot(root: RootView, path: string): Promise<RootPlace | undefined> {
  return (await resolveInRoot(root, path))?.found;
}

/**
 * Resolves a path in a root, as a process inside would: absolute symlinks begin at the root, and nothing is above it.
 * What is missing is taken as it is named. Undefined for links that go in circles. Opaque marks of overlays are not
 * looked at.
 */
export async function resolveInRoot(root: RootView, path: string): Promise<ResolvedPath | undefined> {
  const top = await firstOf(root.directories, "/");
  const parts = splitPath(path);
  if (top === undefined) return { path: join("/", ...parts), found: undefined };
  const trail: MergedPlace[] = [];
  let links = 0;
  for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
    const parent = trail.at(-1) ?? top;
    if (part === "..") {
      trail.pop();
      continue;
    }
    const next = await firstOf(
      parent.merged.map((directory) => join(directory, part)),
      join(parent.path, part),
    );
    if (next === undefined) return { path: join(parent.path, part, ...parts), found: undefined };
    if (!next.stats.isSymbolicLink()) {
      trail.push(next);
      continue;
    }
    if (++links > MAX_LINKS) return undefined;
    const target = await readlink(next.place);
    parts.unshift(...splitPath(target));
    if (target.startsWith("/")) trail.length = 0;
  }
  const found = trail.at(-1) ?? top;
  return { path: found.path, found };
}

/**
 * The text of a regular file of a root; empty if there is none, or it is larger than the limit.
 *
 * The file is opened without following links and without waiting for a pipe's other end.
 */
export async function readInRoot(
  root: RootView,
  path: string,
  { limitBytes }: { readonly limitBytes: number },
): Promise<string> {
  const found = await findInRoot(root, path);
  if (found?.stats.isFile() !== true) return "";
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = await open(found.place, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const { size } = await file.stat();
    if (size > limitBytes) return "";
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** What lies at places over one another: the topmost that exists, merged with the directories right below it. */
async function firstOf(places: readonly string[], path: string): Promise<MergedPlace | undefined> {
  let found: RootPlace | undefined;
  const merged: string[] = [];
  for (const place of places) {
    const stats = await lstatIfThere(place);
    if (stats === undefined) continue;
    if (stats.isCharacterDevice() && stats.rdev === WHITEOUT_DEVICE) break;
    found ??= { path, place, stats };
    if (!stats.isDirectory()) break;
    merged.push(place);
  }
  return found === undefined ? undefined : { ...found, merged };
}

async function lstatIfThere(place: string): Promise<Stats | undefined> {
  try {
    return await lstat(place);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR" || code === "ENAMETOOLONG" || code === "EACCES")
      return undefined;
    throw error;
  }
}

function splitPath(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}
