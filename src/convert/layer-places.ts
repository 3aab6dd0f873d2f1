/**
 * What the descriptors of an image's layers say of each other.
 *
 * @module
 */
import {
  ANNOTATIONS,
  type Descriptor,
  formatTocPlaces,
  parseTocPlaces,
  type TocPlace,
} from "../oci/index.ts";

/**
 * Has each layer that says where its table of contents lies say it of those above it, too: a snapshotter is told of one layer at
 * a time, the lowest first, and can read the tables of all.
 *
 * @param layers of one image, the lowest first
 */
export function withPlacesAbove(layers: readonly Descriptor[]): readonly Descriptor[] {
  let above: readonly TocPlace[] = [];
  const told: Descriptor[] = [];
  for (const layer of layers.toReversed()) {
    const [own] = parseTocPlaces(layer.annotations?.[ANNOTATIONS.tocPlaces]);
    above = own === undefined ? [] : [own, ...above];
    const annotations = { ...layer.annotations, [ANNOTATIONS.tocPlaces]: formatTocPlaces(above) };
    told.push(own === undefined ? layer : { ...layer, annotations });
  }
  return told.toReversed();
}
