/**
 * Taking mounts away.
 *
 * @module
 */
import { EsgzError } from "../errors/index.ts";
import { mountFailure } from "./mount-failure.ts";
import { identityAt, type MountIdentity } from "./mount-identity.ts";
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
      if (await unmountIfThere(mount, options)) gone.push(mount.mountPoint);
    } catch (error) {
      failure ??= error;
    }
  }
  if (failure !== undefined) throw failure;
  return gone;
}

/**
 * Takes away one mount, wherever its place was moved to.
 *
 * @returns false if it was gone already.
 * @throws {EsgzError} `MOUNT_FAILED` if it is in use, or another mount lies over it.
 */
export async function unmountIdentity(
  { id, uniqueId }: MountIdentity,
  options: UnmountOptions & { readonly directory: string },
): Promise<boolean> {
  const mount = (await readMountTable(options)).find((other) => other.id === id);
  // Its number may be another mount's by now.
  const isAnother = uniqueId === undefined && mount?.mountPoint !== (await mountPointPath(options.directory));
  if (mount === undefined || isAnother) return false;
  return await unmountEntry(mount, { ...options, uniqueId });
}

/** Of several mounts, one may have gone with another. */
async function unmountIfThere(mount: MountInfo, options: UnmountOptions): Promise<boolean> {
  try {
    return await unmountEntry(mount, options);
  } catch (error) {
    if ((await readMountTable(options)).some(({ id }) => id === mount.id)) throw error;
    return false;
  }
}

async function unmountEntry(
  { id, mountPoint }: MountInfo,
  options: UnmountOptions & { readonly uniqueId?: bigint | undefined },
): Promise<boolean> {
  const topmost = await identityOfPlace(mountPoint);
  if (topmost.id !== id) {
    const text = `Cannot unmount "${mountPoint}": expected its topmost mount, got one that another mount covers`;
    throw new EsgzError("MOUNT_FAILED", text, { details: { errno: "EBUSY" } });
  }
  if (options.uniqueId !== undefined && topmost.uniqueId !== options.uniqueId) return false;
  await unmountPlace(mountPoint, options);
  return true;
}

async function identityOfPlace(place: string): Promise<MountIdentity> {
  try {
    return await identityAt(place);
  } catch (error) {
    throw mountFailure(error, { action: `unmount "${place}"` });
  }
}

async function unmountPlace(place: string, { lazy = false }: UnmountOptions): Promise<void> {
  try {
    await umount(place, { lazy });
  } catch (error) {
    throw mountFailure(error, { action: `unmount "${place}"`, hints: HINTS });
  }
}
