/**
 * Which options overlayfs should be mounted with on this machine.
 *
 * @module
 */
import { access, readFile } from "node:fs/promises";
import { systemCodeOf } from "../errors/index.ts";

const INDEX_PARAMETER = "/sys/module/overlay/parameters/index";
const UID_MAP = "/proc/self/uid_map";
const ALL_IDS = 4_294_967_295;

/**
 * Options as containerd's overlayfs snapshotter gives them: `index=off` where the kernel knows it, since directories are used
 * in many mounts at once; `userxattr` inside a user namespace, where overlayfs may not write its marks otherwise.
 */
export async function readOverlaySettings(): Promise<readonly string[]> {
  const [hasIndex, inNamespace] = await Promise.all([exists(INDEX_PARAMETER), isInUserNamespace()]);
  return [...(hasIndex ? ["index=off"] : []), ...(inNamespace ? ["userxattr"] : [])];
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}

/** Outside of all namespaces, all ids are themselves. */
async function isInUserNamespace(): Promise<boolean> {
  try {
    const [inside, outside, count] = (await readFile(UID_MAP, "utf8")).trim().split(/\s+/).map(Number);
    return !(inside === 0 && outside === 0 && count === ALL_IDS);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") return false;
    throw error;
  }
}
