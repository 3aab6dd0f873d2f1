/**
 * Taking mounts away.
 *
 * @module
 */
import { EsgzError, systemCodeOf } from "../errors/index.ts";
import { mountFailure } from "./mount-failure.ts";
import type { MountInfo } from "./mountinfo.ts";
import { mountPointPath, mountsBelow, readMountTable } from "./mount-table.ts";
import { umount } from "./native-calls.ts";

/** How to take a mount away. */
export interface UnmountOptions {
  /**
   * Take the name away at once even if something is in use below it; the rest goes when nothing uses it any more. Default
   * false: EBUSY then.
   */
  readonly lazy?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** How to clean up below a directory. */
export interface UnmountBelowOptions extends UnmountOptions {
  /** Which mounts; default all. */
  readonly accept?: (mount: MountInfo) => boolean;
}

const HINTS: Readonly<Record<string, string>> = {
  EBUSY: "something below it is open, a working directory or mounted; a lazy unmount detaches it",
  EINVAL: "it is not a mount point, or its mount may not be taken away here",
};

/**
 * Takes away the topmost mount at a directory (or file).
 *
 * @throws {EsgzError} `MOUNT_FAILED` with `details.errno`: EBUSY if it is in use, EINVAL if nothing is mounted there.
 */
export async function unmount(directory: string, options: UnmountOptions = {}): Promise<void> {
  options.signal?.throwIfAborted();
  // Without the last link: the mount may lie behind one.
  await unmountPlace((await mountPointPath(directory)) ?? directory, options);
}

/**
 * Takes away all mounts below a directory, the innermost first; a mount at the directory itself stays. What cannot be taken
 * away does not keep the others.
 *
 * @returns the mount points, in the order in which they went.
 * @throws {EsgzError} `MOUNT_FAILED` for the first that stayed, after all others were tried.
 */
export async function unmountBelow(root: string, options: UnmountBelowOptions = {}): Promise<string[]> {
  const { accept = () => true } = options;
  const place = await mountPointPath(root);
  if (place === undefined) return [];
  const gone: string[] = [];
  let failure: unknown;
  for (const mount of mountsBelow(await readMountTable(options), place).filter(accept)) {
    options.signal?.throwIfAborted();
    try {
      if (await unmountById(mount.id, options)) gone.push(mount.mountPoint);
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return gone;
}

/**
 * Takes away one mount of the table, wherever its place was moved to.
 *
 * @returns false if it was gone already.
 * @throws {EsgzError} `MOUNT_FAILED` if it is in use, or another mount lies over it.
 */
export async function unmountById(id: number, options: UnmountOptions): Promise<boolean> {
  const table = await readMountTable(options);
  const mount = table.find((other) => other.id === id);
  if (mount === undefined) return false;
  const { mountPoint } = mount;
  if (table.some((other) => other.parentId === id && other.mountPoint === mountPoint)) {
    const text = `Cannot unmount "${mountPoint}": expected its topmost mount, got one that another mount covers`;
    throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EBUSY" } });
  }
  try {
    await unmountPlace(mountPoint, options);
    return true;
  } catch (error) {
    // It went together with a mount of which its own is a copy.
    if (causedBy(error, "EINVAL") && !(await readMountTable(options)).some((other) => other.id === id))
      return false;
    throw error;
  }
}

async function unmountPlace(place: string, { lazy = false }: UnmountOptions): Promise<void> {
  try {
    await umount(place, { lazy });
  } catch (error) {
    throw mountFailure(error, { action: `unmount "${place}"`, hints: HINTS });
  }
}

function causedBy(error: unknown, errno: string): boolean {
  return error instanceof EsgzError && systemCodeOf(error.cause) === errno;
}
