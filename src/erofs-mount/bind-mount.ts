/**
 * One directory at two places.
 *
 * @module
 */
import { resolve } from "node:path";
import { systemCodeOf } from "../errors/index.ts";
import { DetachedMount } from "./filesystem-context.ts";
import { mountFailure } from "./mount-failure.ts";
import { mountFlagBits, type MountFlags } from "./mount-flags.ts";
import { adoptMountAt, MountHandle, type Mount } from "./mount-handle.ts";
import type { MountIdentity } from "./mount-identity.ts";
import { cloneTree, mount, setMountAttributes, umount } from "./native-calls.ts";

/** What to show where. */
export interface BindMountOptions extends MountFlags {
  /** A directory or a file. */
  readonly source: string;
  /** An existing directory, or a file for a file. */
  readonly directory: string;
  /** With all that is mounted below; the flags go for these mounts too. Default false. */
  readonly recursive?: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Binding {
  readonly source: string;
  readonly directory: string;
  readonly recursive: boolean;
  readonly flagBits: number;
}

/** Source: mount(2). */
const MS_REMOUNT = 32;
const MS_BIND = 4096;
const MS_REC = 16384;

const HINTS: Readonly<Record<string, string>> = {
  EINVAL: "the source may not be copied out of its mount, or mounts below it may not be left out",
};

/**
 * Shows a directory or file at a second place. With flags, the mount has them from its first moment on (Linux 5.12).
 *
 * @throws {EsgzError} `MOUNT_FAILED` with `errno`, `call` and `hint` in its details; `NOT_SUPPORTED` without native calls.
 */
export async function bindMount(options: BindMountOptions): Promise<Mount> {
  const { recursive = false, signal } = options;
  const source = resolve(options.source);
  const directory = resolve(options.directory);
  const binding: Binding = { source, directory, recursive, flagBits: mountFlagBits(options) };
  signal?.throwIfAborted();
  try {
    return new MountHandle(directory, await bind(binding));
  } catch (error) {
    throw mountFailure(error, { action: `bind "${source}" to "${directory}"`, hints: HINTS });
  }
}

async function bind(binding: Binding): Promise<MountIdentity> {
  try {
    return await bindClone(binding);
  } catch (error) {
    if (systemCodeOf(error) !== "ENOSYS") throw error;
    return await bindInSteps(binding);
  }
}

async function bindClone({ source, directory, recursive, flagBits }: Binding): Promise<MountIdentity> {
  await using clone = new DetachedMount(await cloneTree(source, { recursive }));
  if (flagBits !== 0) await setMountAttributes(clone.fd, flagBits, { recursive });
  return await clone.attach(directory);
}

/** For older kernels, where for a moment the mount has no flags, and mounts below it never have. */
async function bindInSteps({ source, directory, recursive, flagBits }: Binding): Promise<MountIdentity> {
  const flags = MS_BIND | (recursive ? MS_REC : 0);
  await mount(directory, { source, type: "none", flags });
  const identity = await adoptMountAt(directory);
  if (flagBits === 0) return identity;
  try {
    await mount(directory, { source: "none", type: "none", flags: MS_REMOUNT | MS_BIND | flagBits });
    return identity;
  } catch (error) {
    await umount(directory, { lazy: true, follow: true });
    throw error;
  }
}
