/**
 * A layer's tree as its metadata image.
 *
 * @module
 */
import { compileErofs, type OverlayNamespace } from "../erofs/index.ts";
import type { LayerTree } from "./layer-tree.ts";

/** How to compile. */
export interface CompileLayerOptions {
  /** Where overlayfs will look for whiteouts' marks; `trusted` by default, `user` for unprivileged mounts. */
  readonly overlayMarks?: OverlayNamespace | undefined;
  /** Keep hard links to what the layer does not have, for a lower layer may; default: refuse them. */
  readonly linksBelow?: boolean | undefined;
}

/** The metadata of a layer. */
export interface LayerMeta {
  /** The EROFS image: one data device, of the size that was given. */
  readonly meta: Uint8Array;
  /** The names of attributes that were left out, each once: EROFS cannot store them, or they are marks of overlayfs. */
  readonly skippedXattrs: readonly string[];
}

/**
 * Compiles a tree, which it ends.
 *
 * @throws {EsgzError} `TAR_INVALID` for hard links that lead nowhere; `EROFS_INVALID` for names and numbers that no inode
 * can have; `LIMIT_EXCEEDED`
 */
export function compileLayer(
  tree: LayerTree,
  options: CompileLayerOptions & { readonly dataSize: number },
): LayerMeta {
  const { overlayMarks = "trusted", linksBelow = false } = options;
  const root = tree.finish(overlayMarks, { linksBelow });
  const image = compileErofs(root, {
    devices: [{ size: options.dataSize }],
    linked: tree.linked,
    foreignXattrs: "skip",
  });
  return { meta: image.bytes, skippedXattrs: [...new Set([...tree.skippedXattrs, ...image.skippedXattrs])] };
}
