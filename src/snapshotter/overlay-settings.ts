/**
 * Which options overlayfs should be mounted with on this machine.
 *
 * @module
 */
import { access } from "node:fs/promises";
import { isInUserNamespace } from "../runtime/index.ts";

const INDEX_PARAMETER = "/sys/module/overlay/parameters/index";

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
