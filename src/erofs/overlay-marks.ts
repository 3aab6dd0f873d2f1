/**
 * What overlayfs needs to see in a layer: whiteouts and opaque directories.
 *
 * Source: the Linux kernel, `Documentation/filesystems/overlayfs.rst`, "whiteouts and opaque directories".
 *
 * @module
 */
import type { ErofsAttributes, ErofsDeviceFile, ErofsDirectory } from "./erofs-node.ts";

/** Where overlayfs looks for its marks: `user` in mounts with the option `userxattr`, which unprivileged users need. */
export type OverlayNamespace = "trusted" | "user";

const OPAQUE_VALUE = Uint8Array.of(0x79); // "y"

/** A node that hides its name in the layers below: the character device 0:0. */
export function createWhiteout(attributes: ErofsAttributes): ErofsDeviceFile {
  return { ...attributes, type: "char", major: 0, minor: 0 };
}

/** The directory with the mark that hides all that the layers below have in it. The children are shared, not copied. */
export function withOpaqueMark(directory: ErofsDirectory, namespace: OverlayNamespace): ErofsDirectory {
  const xattrs = new Map(directory.xattrs);
  return { ...directory, xattrs: xattrs.set(`${namespace}.overlay.opaque`, OPAQUE_VALUE) };
}
