/**
 * Which layers an overlay of layers shows.
 *
 * @module
 */
import type { Layer } from "../store/index.ts";
import { readAtRoot } from "./layer-root.ts";
import { readMarks } from "./overlay-names.ts";

/**
 * The layers from the last one on that hides all below it: its root is opaque, which overlayfs does not heed at the roots of
 * what it lays over each other.
 *
 * @param layers the lowest first
 * @throws {EsgzError} `EROFS_INVALID`
 */
export function visibleLayers<Some extends Pick<Layer, "metaPath">>(
  layers: readonly Some[],
): readonly Some[] {
  return layers.slice(Math.max(0, layers.findLastIndex(hidesOthers)));
}

function hidesOthers({ metaPath }: Pick<Layer, "metaPath">): boolean {
  return readAtRoot(metaPath, (reader) => readMarks(reader.xattrs(reader.rootNid)).opaque);
}
