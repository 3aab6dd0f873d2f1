/**
 * Mounting directories over one another.
 *
 * @module
 */
import { resolve } from "node:path";
import { EsgzError, isEsgzError } from "../errors/index.ts";
import { DescriptorPaths } from "./descriptor-paths.ts";
import { FilesystemContext, OPTION_LIMIT } from "./filesystem-context.ts";
import { mountFailure } from "./mount-failure.ts";
import { mountFlagBits, type MountFlags } from "./mount-flags.ts";
import { adoptMountAt, MountHandle, type Mount } from "./mount-handle.ts";
import {
  encodeOverlayOptions,
  escapeBackslashes,
  optionSize,
  OPTION_TEXT_LIMIT,
  type OverlayOptions,
} from "./mount-options.ts";
import { mount } from "./native-calls.ts";

/** What to mount over what. */
export interface OverlayMountOptions extends MountFlags {
  /** Directories that are only read, the topmost first: at least two, or one below an upper directory. */
  readonly lower: readonly string[];
  /** Where changes go; without it nothing can be written. */
  readonly upper?: string | undefined;
  /** An empty directory on the filesystem of `upper`, for the kernel's own use. Needed with `upper`. */
  readonly work?: string | undefined;
  /** An existing directory. */
  readonly directory: string;
  /** Opaque marks and whatever else overlayfs notes are `user.overlay.*`, as user namespaces need it. Default false. */
  readonly userXattrs?: boolean;
  /** Changes need not survive a crash of the machine: nothing is synced, and `work` cannot be used again after one. */
  readonly volatile?: boolean | undefined;
  /** Further options by the kernel's names: `{ metacopy: "off" }`. */
  readonly settings?: Readonly<Record<string, string | true>>;
  readonly signal?: AbortSignal | undefined;
}

/** What the kernel says where it cannot write through the filesystem that the upper directory is on. */
const NO_UPPER = /not supported as (upperdir|workdir)/;
const NO_UPPER_HINT =
  "upper and work have to lie on another filesystem, which is no overlay itself and has extended attributes";
const HINTS: Readonly<Record<string, string>> = {
  ENODEV: "this kernel has no overlayfs",
  EINVAL: "the kernel does not take these directories together, or an option; its log may say more",
  ELOOP: "a directory is used twice, or overlays are nested too deep",
  EBUSY: "upper or work is in use by another overlay mount",
  ESTALE: "upper was used with other lower directories",
  EROFS: "upper or work lies on a read-only filesystem",
};

/**
 * Mounts lower directories over one another, below a writable upper one if there is one.
 *
 * Paths may be of any length and have any characters. Where a path does not fit into an option, the mount table shows
 * `/proc/self/fd/N` for it. No call waits on this thread.
 *
 * @throws {EsgzError} `MOUNT_FAILED` with `errno`, `call` and `hint` in its details; `NOT_SUPPORTED` without native calls.
 */
export async function mountOverlay(options: OverlayMountOptions): Promise<Mount> {
  const directory = resolve(options.directory);
  const layers = layersOf(options, directory);
  const flagBits = mountFlagBits({ ...options, readOnly: options.readOnly ?? layers.upper === undefined });
  options.signal?.throwIfAborted();
  try {
    return await mountContext(layers, { directory, flagBits, signal: options.signal });
  } catch (error) {
    // Before Linux 6.7 directories cannot be added one by one.
    if (!hasErrno(error, "ENOSYS") && !hasErrno(error, "EINVAL")) throw error;
    try {
      return await mountOverlayByText(layers, { directory, flagBits });
    } catch (second) {
      // The first way says more about why.
      throw hasErrno(second, "EINVAL") ? error : second;
    }
  }
}

/** The directories as absolute paths, checked where the kernel would say EINVAL only. */
function layersOf(options: OverlayMountOptions, directory: string): OverlayOptions {
  const { lower, upper, work, userXattrs = false, volatile = false } = options;
  if ((upper === undefined) !== (work === undefined)) {
    throw refused(directory, "both an upper and a work directory or none", "one of them");
  }
  if (lower.length < (upper === undefined ? 2 : 1)) {
    throw refused(directory, "two lower directories, or one and an upper one", `${lower.length}`);
  }
  return {
    lower: lower.map((path) => resolve(path)),
    upper: upper === undefined ? undefined : resolve(upper),
    work: work === undefined ? undefined : resolve(work),
    settings: {
      ...options.settings,
      ...(userXattrs ? { userxattr: true } : {}),
      ...(volatile ? { volatile: true } : {}),
    },
  };
}

interface Place {
  readonly directory: string;
  readonly flagBits: number;
  readonly signal?: AbortSignal | undefined;
}

async function mountContext(layers: OverlayOptions, place: Place): Promise<Mount> {
  const { directory, flagBits, signal } = place;
  try {
    await using context = await FilesystemContext.open("overlay");
    try {
      await using paths = new DescriptorPaths();
      await configureLayers(context, layers, paths);
      signal?.throwIfAborted();
      await using detached = await context.mount(flagBits);
      signal?.throwIfAborted();
      return new MountHandle(directory, await detached.attach(directory));
    } catch (error) {
      throw failure(error, directory, await context.takeMessages());
    }
  } catch (error) {
    throw failure(error, directory);
  }
}

async function configureLayers(
  context: FilesystemContext,
  layers: OverlayOptions,
  paths: DescriptorPaths,
): Promise<void> {
  const set = async (key: string, path: string, text: string): Promise<void> => {
    await context.set(key, optionSize(text) <= OPTION_LIMIT ? text : await paths.nameFor(path));
  };
  context.setNow("source", "overlay");
  for (const path of layers.lower) await set("lowerdir+", path, path);
  if (layers.upper !== undefined) await set("upperdir", layers.upper, escapeBackslashes(layers.upper));
  if (layers.work !== undefined) await set("workdir", layers.work, escapeBackslashes(layers.work));
  for (const [key, value] of Object.entries(layers.settings)) {
    if (value === true) context.setFlag(key);
    else await context.set(key, value);
  }
}

/** Mounts by `mount(2)`, for kernels before 6.7. */
export async function mountOverlayByText(
  layers: OverlayOptions,
  { directory, flagBits }: Place,
): Promise<Mount> {
  try {
    await using paths = new DescriptorPaths();
    const data = await overlayText(layers, { directory, paths });
    await mount(directory, { source: "overlay", type: "overlay", flags: flagBits, data });
    return new MountHandle(directory, await adoptMountAt(directory));
  } catch (error) {
    throw failure(error, directory);
  }
}

async function overlayText(
  layers: OverlayOptions,
  { directory, paths }: { readonly directory: string; readonly paths: DescriptorPaths },
): Promise<string> {
  const plain = encodeOverlayOptions(layers);
  if (optionSize(plain) <= OPTION_TEXT_LIMIT) return plain;
  const lower: string[] = [];
  for (const path of layers.lower) lower.push(await paths.nameFor(path));
  const upper = layers.upper === undefined ? undefined : await paths.nameFor(layers.upper);
  const work = layers.work === undefined ? undefined : await paths.nameFor(layers.work);
  const text = encodeOverlayOptions({ ...layers, lower, upper, work });
  if (optionSize(text) <= OPTION_TEXT_LIMIT) return text;
  throw refused(
    directory,
    `options of at most ${OPTION_TEXT_LIMIT} bytes on this kernel`,
    `${lower.length} layers`,
  );
}

function refused(directory: string, wanted: string, found: string): EsgzError {
  const text = `Cannot mount overlay on "${directory}": expected ${wanted}, got ${found}`;
  return new EsgzError("MOUNT_FAILED", text, { details: { errno: "EINVAL" } });
}

function failure(error: unknown, directory: string, kernelMessages: readonly string[] = []): unknown {
  const hints = kernelMessages.some((message) => NO_UPPER.test(message))
    ? { ...HINTS, EINVAL: NO_UPPER_HINT }
    : HINTS;
  return mountFailure(error, { action: `mount overlay on "${directory}"`, hints, kernelMessages });
}

function hasErrno(error: unknown, errno: string): boolean {
  return isEsgzError(error, "MOUNT_FAILED") && error.details["errno"] === errno;
}
