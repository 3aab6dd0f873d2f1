/**
 * Mounting EROFS images.
 *
 * @module
 */
import { resolve } from "node:path";
import { isEsgzError } from "../errors/index.ts";
import { checkImage } from "./check-image.ts";
import { LoopDevices } from "./loop-device.ts";
import { erofsMountFailure, mountErofsFiles, type ErofsSources } from "./mount-erofs-files.ts";
import { mountFlagBits, type MountFlags } from "./mount-flags.ts";
import { MountHandle, type Mount } from "./mount-handle.ts";
import type { MountIdentity } from "./mount-identity.ts";

/** How the kernel gets at the files: by itself (Linux 6.12), or through loop devices. */
export type ErofsMountMethod = "file" | "loop";

/** What to mount where. */
export interface ErofsMountOptions extends Omit<MountFlags, "readOnly"> {
  /** The image. It may lie on a FUSE filesystem of this process, as the devices may. */
  readonly meta: string;
  /**
   * The data devices, in the order of the image's device table. None if the image has none, or has their contents behind
   * itself. Loop devices need files of whole blocks.
   */
  readonly devices: readonly string[];
  /** An existing directory. */
  readonly directory: string;
  /** Default: `file`, then `loop` where the kernel takes block devices only. */
  readonly method?: ErofsMountMethod | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A mounted EROFS image. */
export interface ErofsMount extends Mount {
  /** The way it was mounted. */
  readonly method: ErofsMountMethod;
}

/**
 * Mounts an image with its data devices, always read-only.
 *
 * Number and sizes of the devices are checked against the image first: the kernel would find out late, or never. No call waits
 * on this thread. An abort counts until the mount is there.
 *
 * @throws {EsgzError} `MOUNT_FAILED` with `errno`, `call` and `hint` in its details; `EROFS_INVALID` for what is no image;
 * `NOT_SUPPORTED` without native calls.
 */
export async function mountErofs(options: ErofsMountOptions): Promise<ErofsMount> {
  const { method, signal } = options;
  const sources: ErofsSources = {
    meta: resolve(options.meta),
    devices: options.devices.map((device) => resolve(device)),
    directory: resolve(options.directory),
    flagBits: mountFlagBits({ ...options, readOnly: true }),
  };
  signal?.throwIfAborted();
  try {
    await checkImage(sources.meta, { devices: sources.devices, wholeBlocks: method === "loop", signal });
  } catch (error) {
    throw erofsMountFailure(error, sources);
  }
  if (method === "loop") return await mountThroughLoops(sources, signal);
  try {
    return new ErofsMountHandle(sources.directory, await mountErofsFiles(sources, signal), "file");
  } catch (error) {
    const wantsBlockDevices = isEsgzError(error, "MOUNT_FAILED") && error.details["errno"] === "ENOTBLK";
    if (method === "file" || !wantsBlockDevices) throw error;
    await checkImage(sources.meta, { devices: sources.devices, wholeBlocks: true, signal });
    return await mountThroughLoops(sources, signal);
  }
}

async function mountThroughLoops(
  sources: ErofsSources,
  signal: AbortSignal | undefined,
): Promise<ErofsMount> {
  await using loops = new LoopDevices();
  const attached: string[] = [];
  for (const path of [sources.meta, ...sources.devices]) {
    signal?.throwIfAborted();
    try {
      attached.push(await loops.attach(path));
    } catch (error) {
      throw erofsMountFailure(error, sources);
    }
  }
  const [meta = "", ...devices] = attached;
  const identity = await mountErofsFiles({ ...sources, meta, devices }, signal);
  return new ErofsMountHandle(sources.directory, identity, "loop");
}

class ErofsMountHandle extends MountHandle implements ErofsMount {
  readonly method: ErofsMountMethod;

  constructor(directory: string, identity: MountIdentity, method: ErofsMountMethod) {
    super(directory, identity);
    this.method = method;
  }
}
