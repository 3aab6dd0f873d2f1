/**
 * What the names and extended attributes of a layer mean, in tars and in metadata images.
 *
 * | in a tar or TOC    | in a metadata image                                          | means                                             |
 * | ------------------ | ------------------------------------------------------------ | ------------------------------------------------- |
 * | `.wh.NAME`         | character device 0:0 with that name                          | lower layers have no NAME here                    |
 * | `.wh..wh..opq`     | `trusted.overlay.opaque` = `y`                               | lower layers have nothing in this directory       |
 * | a path's directory | `trusted.overlay.esgz.implied` = `y`                         | no entry describes it: what lower layers say holds |
 * | `.wh..wh.*`, other | nothing                                                      | bookkeeping of AUFS                               |
 * | a hard link to     | character device 0:0 with `trusted.overlay.esgz.link` = path | the file that a lower layer has there             |
 * | what is not there  | and on the root `trusted.overlay.esgz.links` = `y`           | some link of this layer is of that kind           |
 *
 * In images for unprivileged mounts, `trusted` is `user`. Overlayfs shows none of these attributes to those who look at an
 * overlay, and knows none of `esgz`.
 *
 * Source: OCI image specification, layer.md, "Whiteouts"; the Linux kernel, `filesystems/overlayfs.rst`.
 *
 * @module
 */
import { decodePathText } from "../bytes/index.ts";
import type { OverlayNamespace } from "../erofs/index.ts";

/** What the name of a whiteout begins with. */
export const WHITEOUT_PREFIX = ".wh.";
/** The entry that makes its directory opaque. */
export const OPAQUE_NAME = ".wh..wh..opq";
/** What other names of AUFS begin with; they mean nothing. */
export const WHITEOUT_META_PREFIX = ".wh..wh.";

/** The value of marks. */
export const MARK_VALUE: Uint8Array = Uint8Array.of(0x79); // "y"

const NAMESPACES: readonly OverlayNamespace[] = ["trusted", "user"];

/** The attribute of a directory that hides all that lower layers have in it. */
export function opaqueMark(namespace: OverlayNamespace): string {
  return `${namespace}.overlay.opaque`;
}

/** The attribute of a directory that no entry of its layer describes. */
export function impliedMark(namespace: OverlayNamespace): string {
  return `${namespace}.overlay.esgz.implied`;
}

/** The attribute of a hard link to a file of a lower layer: the path of that. */
export function linkMark(namespace: OverlayNamespace): string {
  return `${namespace}.overlay.esgz.link`;
}

/** The attribute of the root of a layer that has such links. */
export function linksMark(namespace: OverlayNamespace): string {
  return `${namespace}.overlay.esgz.links`;
}

/** Whether an attribute belongs to overlayfs: never part of a file. */
export function isOverlayAttribute(name: string): boolean {
  return NAMESPACES.some((namespace) => name.startsWith(`${namespace}.overlay.`));
}

/** What the marks of a directory in a metadata image say, in either namespace. */
export function readMarks(xattrs: ReadonlyMap<string, Uint8Array>): {
  readonly opaque: boolean;
  readonly implied: boolean;
} {
  return {
    opaque: NAMESPACES.some((namespace) => xattrs.has(opaqueMark(namespace))),
    implied: NAMESPACES.some((namespace) => xattrs.has(impliedMark(namespace))),
  };
}

/** What a character device 0:0 means: the path of a file of a lower layer; undefined for a whiteout. */
export function readLinkMark(xattrs: ReadonlyMap<string, Uint8Array>): string | undefined {
  for (const namespace of NAMESPACES) {
    const path = xattrs.get(linkMark(namespace));
    if (path !== undefined) return decodePathText(path);
  }
  return undefined;
}

/** Whether the attributes of a layer's root say that the layer has hard links to files of lower layers. */
export function hasLinksMark(xattrs: ReadonlyMap<string, Uint8Array>): boolean {
  return NAMESPACES.some((namespace) => xattrs.has(linksMark(namespace)));
}
