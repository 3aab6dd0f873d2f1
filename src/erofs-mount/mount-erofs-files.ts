/**
 * Handing an EROFS image and its devices to the kernel, by their paths.
 *
 * @module
 */
import { EsgzError, systemCodeOf } from "../errors/index.ts";
import { DescriptorPaths } from "./descriptor-paths.ts";
import { FilesystemContext, OPTION_LIMIT } from "./filesystem-context.ts";
import { mountFailure } from "./mount-failure.ts";
import { adoptMountAt } from "./mount-handle.ts";
import type { MountIdentity } from "./mount-identity.ts";
import { encodeDeviceOptions, optionSize, OPTION_TEXT_LIMIT } from "./mount-options.ts";
import { mount } from "./native-calls.ts";

/** An image with its devices, all of them files or all block devices, and where it goes. Paths are absolute. */
export interface ErofsSources {
  readonly meta: string;
  readonly devices: readonly string[];
  readonly directory: string;
  /** Of `mountFlagBits()`. */
  readonly flagBits: number;
}

const HINTS: Readonly<Record<string, string>> = {
  ENODEV: "this kernel has no EROFS",
  ENOTBLK: "this kernel mounts EROFS from block devices only, not from these files",
  EINVAL: "the kernel wants another image, or devices of one kind",
  EUCLEAN: "the image is damaged",
  ENXIO: "there is no such loop device",
};

/**
 * Mounts by the newer calls, which take options one by one, or by `mount(2)` where there are none.
 *
 * @returns which mount it is.
 */
export async function mountErofsFiles(
  sources: ErofsSources,
  signal: AbortSignal | undefined,
): Promise<MountIdentity> {
  signal?.throwIfAborted();
  try {
    await using context = await FilesystemContext.open("erofs");
    return await mountContext(context, sources, signal);
  } catch (error) {
    if (systemCodeOf(error) === "ENOSYS") return await mountErofsByText(sources);
    throw erofsMountFailure(error, sources);
  }
}

async function mountContext(
  context: FilesystemContext,
  sources: ErofsSources,
  signal: AbortSignal | undefined,
): Promise<MountIdentity> {
  try {
    await using paths = new DescriptorPaths();
    const nameOf = async (path: string): Promise<string> =>
      optionSize(path) > OPTION_LIMIT ? await paths.nameFor(path) : path;
    context.setNow("source", await nameOf(sources.meta));
    for (const device of sources.devices) context.setNow("device", await nameOf(device));
    context.setFlag("ro");
    signal?.throwIfAborted();
    await using detached = await context.mount(sources.flagBits);
    signal?.throwIfAborted();
    return await detached.attach(sources.directory);
  } catch (error) {
    throw erofsMountFailure(error, sources, await context.takeMessages());
  }
}

/**
 * Mounts by `mount(2)`, for kernels before 5.2: as many devices as fit into the text of all options, some 150.
 *
 * @returns which mount it is.
 */
export async function mountErofsByText(sources: ErofsSources): Promise<MountIdentity> {
  const { meta, directory, flagBits } = sources;
  try {
    await using paths = new DescriptorPaths();
    const data = await deviceText(sources, paths);
    await mount(directory, { source: meta, type: "erofs", flags: flagBits, data });
    return await adoptMountAt(directory);
  } catch (error) {
    throw erofsMountFailure(error, sources);
  }
}

async function deviceText({ meta, devices }: ErofsSources, paths: DescriptorPaths): Promise<string> {
  const plain = encodeDeviceOptions(devices);
  const hasComma = devices.some((device) => device.includes(","));
  if (!hasComma && optionSize(plain) <= OPTION_TEXT_LIMIT) return plain;
  const names: string[] = [];
  for (const device of devices) names.push(await paths.nameFor(device));
  const text = encodeDeviceOptions(names);
  if (optionSize(text) <= OPTION_TEXT_LIMIT) return text;
  const message = `Cannot mount EROFS image "${meta}": expected devices whose options fit into ${OPTION_TEXT_LIMIT} bytes, got ${devices.length} devices`;
  throw new EsgzError("MOUNT_FAILED", message, { details: { errno: "E2BIG", call: "mount" } });
}

/** A failed call on the way to an EROFS mount, as the error for callers. */
export function erofsMountFailure(
  error: unknown,
  { meta, directory }: ErofsSources,
  kernelMessages: readonly string[] = [],
): unknown {
  const action = `mount EROFS image "${meta}" on "${directory}"`;
  return mountFailure(error, { action, hints: HINTS, kernelMessages });
}
