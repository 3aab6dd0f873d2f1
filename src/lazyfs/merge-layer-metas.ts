/**
 * The metadata images of an image's layers as one.
 *
 * What is shown is what overlayfs shows of the layers: an upper name hides a lower one, directories over directories show
 * what is in both, whiteouts and opaque directories hide, and symlinks on the way are never followed. A directory that no
 * entry of its layer describes keeps what a lower layer says of it, and a hard link to a file of a lower layer is a name of
 * that file; overlayfs can know neither.
 *
 * @module
 */
import { mergeErofs, type SplitXattrs } from "../erofs/index.ts";
import { EsgzError } from "../errors/index.ts";
import { LayerStack } from "./layer-stack.ts";
import { isOverlayAttribute, readLinkMark, readMarks } from "./overlay-names.ts";

/** The largest image that is made of layers, in bytes: what a store keeps as a small blob. */
const MAX_MERGED_SIZE = 256 << 20;
/** Names that are looked up for hard links into layers below: some seconds, and more than images need by far. */
const MAX_LOOKUPS = 250_000;

/**
 * Merges metadata images as `compileLayerArchive()` makes them, the lowest first. The image that comes out has one device
 * for each layer, in their order; the same images give the same bytes.
 *
 * @param dataSizes the sizes of the layers' data devices in bytes
 * @throws {EsgzError} `EROFS_INVALID`, `NOT_SUPPORTED` for images that cannot be read; `TAR_INVALID` for a hard link to what
 * no layer below has; `LIMIT_EXCEEDED` for more layers than an image has devices, a result of more than 256 MiB, or very many
 * such links.
 */
export function mergeLayerMetas(
  metas: readonly Uint8Array[],
  dataSizes: readonly number[],
): Uint8Array<ArrayBuffer> {
  if (metas.length !== dataSizes.length) {
    throw new EsgzError(
      "EROFS_INVALID",
      `Cannot merge layers: expected ${metas.length} data sizes, got ${dataSizes.length}`,
    );
  }
  let stack: LayerStack | undefined;
  return mergeErofs(metas, {
    dataSizes,
    readMarks: splitXattrs,
    findLinked: (layer, path) => {
      // Seldom is there a link that leads below.
      stack ??= new LayerStack(metas, { maxLookups: MAX_LOOKUPS });
      return stack.findLinked(layer, path);
    },
    maxImageSize: MAX_MERGED_SIZE,
  });
}

function splitXattrs(xattrs: ReadonlyMap<string, Uint8Array>): SplitXattrs {
  const shown = new Map([...xattrs].filter(([name]) => !isOverlayAttribute(name)));
  return { ...readMarks(xattrs), shown, link: readLinkMark(xattrs) };
}
